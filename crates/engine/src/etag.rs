//! ETags. Plain objects and SSE-S3: the MD5 of the data, or for multipart objects the MD5 of the parts' MD5s with `-N`. SSE-KMS,
//! DSSE-KMS and SSE-C: random, so that nothing about the data shows. Source: Amazon S3, "Common response headers".
//!
//! Parts in these three modes have the keyed fingerprint of a CRC-64 of their data instead (`Engine::part_etag`): it shows as little
//! without the store key, and a part sent twice, as clients do that saw no answer to the first, keeps its ETag.

use md5::{Digest as _, Md5};
use strongroom_seal::Mode;

use crate::record::Etag;

/// Whether the mode's ETag is an MD5.
pub(crate) fn is_md5(mode: Mode) -> bool {
    match mode {
        Mode::Store | Mode::SseS3 => true,
        Mode::SseKms | Mode::DsseKms | Mode::SseC => false,
    }
}

/// The ETag of an object put whole, of which the MD5 is or is not known. Where the mode's ETag should be an MD5 and none is known
/// (a copy that moved no data), it ends in `-1`, by which clients know that it is no MD5.
pub(crate) fn whole(mode: Mode, md5: Option<String>) -> Etag {
    let shown = match (&md5, is_md5(mode)) {
        (Some(md5), true) => md5.clone(),
        (None, true) => format!("{}-1", opaque()),
        (_, false) => opaque(),
    };
    Etag { shown, md5 }
}

/// The ETag of a multipart object.
pub(crate) fn of_parts(mode: Mode, parts: &[&Etag]) -> Etag {
    let md5 = md5_of_parts(parts.iter().map(|part| part.md5.as_deref()));
    let shown = match (&md5, is_md5(mode)) {
        (Some(md5), true) => md5.clone(),
        (_, false) | (None, true) => format!("{}-{}", opaque(), parts.len()),
    };
    Etag { shown, md5 }
}

/// The ETag of a copy: what the source's becomes under the target's mode.
pub(crate) fn of_copy(source: &Etag, parts_count: Option<u32>, mode: Mode) -> Etag {
    let md5 = source.md5.clone();
    match (parts_count, &md5) {
        (Some(count), None) => Etag { shown: format!("{}-{count}", opaque()), md5 },
        (Some(count), Some(_)) if !is_md5(mode) => Etag { shown: format!("{}-{count}", opaque()), md5 },
        _ => whole(mode, md5),
    }
}

/// The MD5 of the parts' MD5s, with `-N`; none where one of them is not known.
pub(crate) fn md5_of_parts<'a>(parts: impl ExactSizeIterator<Item = Option<&'a str>>) -> Option<String> {
    let count = parts.len();
    let mut md5 = Md5::new();
    for part in parts {
        let mut raw = [0; 16];
        hex::decode_to_slice(part?, &mut raw).ok()?;
        md5.update(raw);
    }
    Some(format!("{}-{count}", hex::encode(md5.finalize())))
}

fn opaque() -> String {
    hex::encode(strongroom_seal::random_array::<16>())
}
