//! What can be wrong with a log.

use std::fmt;

use serde::Serialize;

/// How many findings a report keeps; more are only counted.
pub const MAX_FINDINGS: usize = 1000;
/// The most records that a writer leaves between two checkpoints.
pub(crate) const MAX_UNSIGNED: u64 = 10_000;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file's name.
    pub file: String,
    /// The line in it, 1 for the first; 0 for the file as a whole.
    pub line: u64,
    /// The number of the record, as far as it can be told.
    pub seq: Option<u64>,
    /// What is wrong.
    pub defect: Defect,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// The record's hash is not that of its bytes.
    Changed,
    /// The line is no record at all.
    NotARecord,
    /// The line has no end: a write under way or interrupted, or the log was cut within it.
    Incomplete,
    /// Records are missing before this one.
    Gap {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// The record stands after one of a higher number.
    OutOfOrder {
        /// The number that was due.
        expected: u64,
    },
    /// The record stands there twice.
    Repeated,
    /// The record does not name the hash of the one before it.
    Unlinked,
    /// The checkpoint's signature is not the key's.
    BadSignature,
    /// The checkpoint was signed by another key.
    OtherKey,
    /// More records than a writer ever leaves lie without a checkpoint before this one.
    Unsigned,
    /// There are records, and no checkpoint of the key.
    NeverSigned,
    /// There are no records at all.
    Empty,
    /// Records at the end of a closed part lie without a checkpoint after them.
    UnsignedEnd,
    /// What was before the first record is neither here nor was it removed by the server's retention.
    BeginningMissing {
        /// The last record that is missing.
        to: u64,
    },
    /// The file begins with another record than its name says.
    Misnamed,
    /// The file is named like one of the log, and is none.
    ForeignFile,
    /// The file was compressed, and does not open any more.
    Unopenable,
    /// The file holds other bytes than another copy of it.
    CopyDiffers,
    /// The log ends here, but went further.
    Cut {
        /// How far it went.
        expected: u64,
    },
    /// The record is another one than the head that was kept elsewhere.
    Rewritten,
    /// The record whose head was kept elsewhere is not there.
    AnchorMissing {
        /// Its number.
        seq: u64,
    },
    /// The record whose head was kept elsewhere was removed by the server's retention.
    AnchorRemoved {
        /// Its number.
        seq: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, seq, defect } = self;
        if !file.is_empty() {
            write!(out, "{file}:{line}: ")?;
        }
        if let Some(seq) = seq {
            write!(out, "record {seq}: ")?;
        }
        write!(out, "{defect}")
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => write!(out, "it was changed"),
            Self::NotARecord => write!(out, "the line is no record"),
            Self::Incomplete => write!(out, "the line is incomplete"),
            Self::Gap { from, to } if from == to => write!(out, "record {from} is missing before it"),
            Self::Gap { from, to } => write!(out, "records {from} to {to} are missing before it"),
            Self::OutOfOrder { expected } => write!(out, "it stands where record {expected} belongs"),
            Self::Repeated => write!(out, "it is there twice"),
            Self::Unlinked => write!(out, "it does not follow from the record before it"),
            Self::BadSignature => write!(out, "the checkpoint's signature is wrong"),
            Self::OtherKey => write!(out, "the checkpoint was signed by another key"),
            Self::Unsigned => write!(out, "more than {MAX_UNSIGNED} records without a signed checkpoint come before it"),
            Self::NeverSigned => write!(out, "no checkpoint of the log was signed by this key"),
            Self::Empty => write!(out, "there are no records: this is no audit log, or it was emptied"),
            Self::UnsignedEnd => write!(out, "no signed checkpoint follows the last records"),
            Self::BeginningMissing { to } => write!(
                out,
                "records up to {to} are missing before it, and the server's retention did not remove them: \
                 give the directory they were moved to as well, or their head with --begins-after. \
                 If an earlier release's files were deleted, pass `--begins-after SEQ:HASH`: \
                 SEQ is the first record's `seq` less one, HASH its `prev`."
            ),
            Self::Unopenable => write!(out, "the compressed file is damaged from here on"),
            Self::CopyDiffers => write!(out, "it differs from another copy of the same file"),
            Self::Misnamed => write!(out, "the file's name says that it begins with another record"),
            Self::ForeignFile => write!(out, "the file's name is not one that the log gives"),
            Self::Cut { expected } => write!(out, "the log ends here, but went up to record {expected}"),
            Self::Rewritten => write!(out, "it is another record than the head that was kept elsewhere"),
            Self::AnchorMissing { seq } => write!(out, "record {seq}, whose head was kept elsewhere, is missing"),
            Self::AnchorRemoved { seq } => write!(
                out,
                "record {seq}, whose head was kept elsewhere, was removed by retention: \
                 give a newer head, or the directory with a copy of the removed files as well"
            ),
        }
    }
}
