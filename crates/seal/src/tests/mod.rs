//! What the format promises, tested over its public interface; the vectors pin its bytes.
#![allow(clippy::unwrap_used)]

mod keys;
mod layout;
mod manifest;
mod parts;
mod records;
mod shared;
mod vector_maker;
mod vectors;

use strongroom_ids::{BucketId, VersionId};

use crate::{ExternalKey, ExternalKeys, Layers, ObjectIdentity};

const BUCKET: BucketId = BucketId([0xb0; 16]);
const VERSION: VersionId = VersionId([0x5e; 16]);

fn identity() -> ObjectIdentity<'static> {
    ObjectIdentity { bucket_id: BUCKET, key: "photos/cat.jpg", version_id: VERSION }
}

/// External keys that depend on `seed`.
fn external_keys(layers: Layers, seed: u8) -> ExternalKeys {
    match layers {
        Layers::One => ExternalKeys::single(ExternalKey::from_bytes([seed; 32])),
        Layers::Two => ExternalKeys::double(ExternalKey::from_bytes([seed; 32]), ExternalKey::from_bytes([!seed; 32])),
    }
}

/// The plaintext formula of the published vectors.
#[allow(clippy::cast_possible_truncation, reason = "modulo 256 is what is meant")]
fn plaintext(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| (31 * i + 7 * (i >> 8) + 101 * (i >> 16) + usize::from(seed)) as u8).collect()
}

/// Fails to compile if the type implements the trait.
macro_rules! assert_not_impl {
    ($type:ty, $trait:path) => {
        const _: fn() = || {
            trait AmbiguousIf<A> {
                fn probe() {}
            }
            impl<T: ?Sized> AmbiguousIf<()> for T {}
            struct Implemented;
            impl<T: ?Sized + $trait> AmbiguousIf<Implemented> for T {}
            let _ = <$type as AmbiguousIf<_>>::probe;
        };
    };
}
pub(crate) use assert_not_impl;
