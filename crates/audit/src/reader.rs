//! Reads the lines of a log's file, compressed or not, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use aws_lc_rs::digest::{Context, SHA256};
use flate2::bufread::GzDecoder;

use crate::files::{self, LogFile};
use crate::record::MAX_LINE_LEN;

/// The longest file that is compressed, and the most that a compressed one may hold: a crafted one expands a thousandfold.
pub(crate) const MAX_PLAIN_LEN: u64 = 2 << 30;
const BLOCK_LEN: usize = 1 << 18;

/// The records of one file.
pub(crate) enum Reader {
    Plain(BufReader<File>),
    Compressed {
        decoder: Box<BufReader<GzDecoder<BufReader<File>>>>,
        /// How many bytes may still come.
        room: u64,
    },
}

impl Reader {
    /// Opens a file. One that was compressed since it was listed is read in its new form.
    pub(crate) fn open(file: &LogFile) -> io::Result<Self> {
        match files::open_regular(&file.path) {
            Ok(opened) => Ok(Self::new(opened, file.is_compressed)),
            Err(error) if error.kind() == ErrorKind::NotFound && !file.is_compressed => {
                files::open_regular(&file.other_form()).map(|opened| Self::new(opened, true))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn new(file: File, is_compressed: bool) -> Self {
        let file = BufReader::with_capacity(BLOCK_LEN, file);
        if is_compressed {
            let decoder = BufReader::with_capacity(BLOCK_LEN, GzDecoder::new(file));
            Self::Compressed { decoder: Box::new(decoder), room: MAX_PLAIN_LEN }
        } else {
            Self::Plain(file)
        }
    }

    /// The next line with its end; false if there is none. Of a line that is too long to be a record only the beginning, with an end.
    pub(crate) fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        self.by_ref().take(MAX_LINE_LEN as u64).read_until(b'\n', line)?;
        if line.len() == MAX_LINE_LEN && !line.ends_with(b"\n") {
            self.skip_until(b'\n')?;
            line.truncate(1);
            line.push(b'\n');
        }
        Ok(!line.is_empty())
    }

    /// After the last line: fails if something follows what was compressed.
    pub(crate) fn end(self) -> io::Result<()> {
        let Self::Compressed { decoder, .. } = self else { return Ok(()) };
        let mut rest = decoder.into_inner().into_inner();
        if rest.fill_buf()?.is_empty() { Ok(()) } else { Err(damaged("something follows its compressed content")) }
    }
}

/// Whether the file's content is at fault, and not the disk.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}

/// SHA-256 and length of the records in a file, whichever form it has.
pub(crate) fn content(reader: Reader) -> io::Result<([u8; 32], u64)> {
    content_up_to(reader, u64::MAX)
}

/// As [`content`], of no more than the first `most` bytes.
pub(crate) fn content_up_to(mut reader: Reader, most: u64) -> io::Result<([u8; 32], u64)> {
    let (mut context, mut len) = (Context::new(&SHA256), 0);
    loop {
        let block = reader.fill_buf()?;
        let read = block.len().min(usize::try_from(most - len).unwrap_or(usize::MAX));
        if block.is_empty() {
            reader.end()?;
            break;
        }
        if read == 0 {
            break;
        }
        context.update(&block[..read]);
        len += read as u64;
        reader.consume(read);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok((digest, len))
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let block = self.fill_buf()?;
        let len = block.len().min(out.len());
        out[..len].copy_from_slice(&block[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(file) => file.fill_buf(),
            Self::Compressed { decoder, room } => {
                let block = decoder.fill_buf()?;
                if block.len() as u64 > *room { Err(damaged("it expands to more than any file of the log")) } else { Ok(block) }
            }
        }
    }

    fn consume(&mut self, len: usize) {
        match self {
            Self::Plain(file) => file.consume(len),
            Self::Compressed { decoder, room } => {
                *room = room.saturating_sub(len as u64);
                decoder.consume(len);
            }
        }
    }
}
