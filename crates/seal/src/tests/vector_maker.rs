//! Makes the good vectors. Keys and salts are hashes of their names, so that the same files come out every time; real
//! sealing never takes a salt from outside.

use std::collections::BTreeMap;
use strongroom_ids::{BlobId, BucketId, VersionId};

use super::vectors::{Good, Hex, KeyCheckVector, ObjectVector, PartVector, Plaintext, RecordVector, directory, load};
use crate::*;

/// Longer blobs are published by their hash only.
const INLINE_BLOB_LEN: usize = 1024;

/// Run by hand when a new version of the format is released; what is released is never written again:
/// `cargo test -p strongroom-seal write_the_good_vectors -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_the_good_vectors() {
    for (name, good) in make() {
        let json = serde_json::to_string_pretty(&good).unwrap() + "\n";
        std::fs::write(directory("good").join(format!("{name}.json")), json).unwrap();
    }
}

#[test]
fn sealing_makes_the_published_bytes() {
    let published = load::<Good>("good");
    for (name, good) in make() {
        assert!(serde_json::to_value(&good).unwrap() == serde_json::to_value(&published[&name]).unwrap(), "{name} differs");
    }
}

/// Seals a part under a given salt.
pub(super) fn seal(object_keys: &[u8], number: u16, salt: PartSalt, mut data: &[u8]) -> Vec<u8> {
    let mut sealer = PartSealer::with_salt(&object_keys_from(object_keys), number, salt).unwrap();
    let mut blob = Vec::new();
    while let Some(batch) = sealer.push(&mut data).unwrap() {
        blob.extend(batch.into_vec());
    }
    blob.extend(sealer.finish().unwrap().0.into_vec());
    blob
}

fn make() -> BTreeMap<String, Good> {
    let formula = |seed, len| Plaintext::Formula { seed, len };
    let text = |text: &str| Plaintext::Hex(Hex(text.as_bytes().to_vec()));
    let inline = |plaintext| vec![(1, plaintext, false)];
    let blob = |plaintext| vec![(1, plaintext, true)];
    let three_parts = vec![(1, formula(1, 300), true), (2, formula(2, CHUNK_LEN + 1), true), (7, text(""), true)];
    let objects = [
        object("store_short", "an object stored without encryption asked for", Mode::Store, inline(text("hello, store"))),
        object("sse_c_empty", "an empty object has one chunk", Mode::SseC, inline(text(""))),
        object("sse_s3_short", "a small object, inline", Mode::SseS3, inline(text("hello, room"))),
        object("sse_kms_one_full_chunk", "exactly one chunk", Mode::SseKms, blob(formula(3, CHUNK_LEN))),
        object("sse_kms_three_chunks", "two full chunks and a short one", Mode::SseKms, blob(formula(4, 2 * CHUNK_LEN + 100))),
        object("sse_kms_other_object", "as long as sse_kms_three_chunks", Mode::SseKms, blob(formula(5, 2 * CHUNK_LEN + 100))),
        object("sse_c_two_batches", "more than a mebibyte", Mode::SseC, blob(formula(6, 17 * CHUNK_LEN))),
        object("dsse_kms_short", "two layers, inline", Mode::DsseKms, inline(text("hello, vault"))),
        object("dsse_kms_two_chunks", "two layers, two chunks", Mode::DsseKms, blob(formula(7, CHUNK_LEN + 1))),
        object("dsse_kms_blob", "two layers, a short blob", Mode::DsseKms, blob(formula(9, 90))),
        object("sse_c_multipart", "three parts, the last one empty", Mode::SseC, three_parts),
    ];
    let mut vectors: BTreeMap<_, _> = objects.into_iter().map(|(name, object)| (name.to_owned(), Good::Object(object))).collect();
    if let Good::Object(source) = &vectors["sse_s3_short"] {
        let resealed = reseal(source);
        vectors.insert("sse_s3_short_resealed".to_owned(), Good::Object(resealed));
    }
    for (name, description, mode, shared) in [
        ("sse_c_shared_parts", "parts 1 and 7 of sse_c_multipart, and part 1 once more", Mode::SseC, &SHARED_PARTS[..]),
        ("sse_s3_shared_again", "a part that sse_c_shared_parts itself shares", Mode::SseS3, &SHARED_AGAIN),
        ("dsse_kms_shared_part", "a part with two layers", Mode::DsseKms, &SHARED_TWO_LAYERS),
    ] {
        let object = sharing(name, description, mode, shared, &vectors);
        vectors.insert(name.to_owned(), Good::Object(object));
    }
    for (name, kind) in [("record_version", RecordKind::Version), ("record_upload", RecordKind::Upload), ("record_part", RecordKind::Part)]
    {
        vectors.insert(name.to_owned(), Good::Record(record(name, kind)));
    }
    vectors.insert("key_check".to_owned(), Good::KeyCheck(check()));
    vectors
}

/// `parts`: number, plaintext, and whether it has a blob.
fn object(name: &'static str, description: &str, mode: Mode, parts: Vec<(u16, Plaintext, bool)>) -> (&'static str, ObjectVector) {
    let layers = usize::from(mode.layers().count());
    let object_keys = bytes_of(name, "object keys", layers);
    let store_key = (mode == Mode::Store).then(|| Hex(bytes_of(name, "store key", 1)));
    let external_keys = store_key.as_ref().map_or_else(|| bytes_of(name, "external keys", layers), |key| store_external_key(&key.0));
    let mut manifest_parts = Vec::new();
    let mut part_vectors = Vec::new();
    for (number, plaintext, has_blob) in parts {
        let salt = PartSalt(secret(name, &format!("salt of part {number}")));
        let sealed = seal(&object_keys, number, salt, &plaintext.bytes());
        let blob = if has_blob { id(name, &format!("blob of part {number}")) } else { [0; 16] };
        manifest_parts.push(ManifestPart { number, plaintext_len: plaintext.bytes().len() as u64, salt, blob: BlobId(blob), shared: None });
        let blob_sha256 = Hex(provider::sha256(&sealed).to_vec());
        part_vectors.push(PartVector { plaintext, blob_sha256, blob: (sealed.len() <= INLINE_BLOB_LEN).then_some(Hex(sealed)) });
    }
    let manifest = Manifest::new(manifest_parts).unwrap();
    let mut vector = ObjectVector {
        format_version: 1,
        description: description.to_owned(),
        mode: mode.as_u8(),
        bucket_id: Hex(id("vectors", "bucket").to_vec()),
        key: format!("vectors/{name}.bin"),
        version_id: Hex(id(name, "version").to_vec()),
        store_key,
        external_keys: Hex(external_keys),
        object_keys: Hex(object_keys),
        sealed_keys: Hex(Vec::new()),
        manifest: Hex(manifest.encode()),
        manifest_digest: Hex(manifest.digest().to_vec()),
        parts: part_vectors,
    };
    vector.sealed_keys = seal_keys(&vector, name);
    (name, vector)
}

/// The same data after a copy to another bucket and key under SSE-C: only the sealed keys differ.
fn reseal(source: &ObjectVector) -> ObjectVector {
    let name = "sse_s3_short_resealed";
    let parts = vec![(1, source.parts[0].plaintext.clone(), false)];
    let mut copy = object(name, "sse_s3_short, copied to another bucket and key under SSE-C: the data is shared", Mode::SseC, parts).1;
    copy.bucket_id = Hex(id("vectors", "other bucket").to_vec());
    copy.key = "kopie/größe €.bin".to_owned();
    copy.object_keys = source.object_keys.clone();
    copy.manifest = source.manifest.clone();
    copy.manifest_digest = source.manifest_digest.clone();
    copy.parts[0].blob = source.parts[0].blob.clone();
    copy.parts[0].blob_sha256 = source.parts[0].blob_sha256.clone();
    copy.sealed_keys = seal_keys(&copy, name);
    copy
}

/// A vector, a part of it by its index, and the number that the part gets.
type Origin = (&'static str, usize, u16);

const SHARED_PARTS: [Origin; 3] = [("sse_c_multipart", 0, 2), ("sse_c_multipart", 2, 3), ("sse_c_multipart", 0, 7)];
const SHARED_AGAIN: [Origin; 1] = [("sse_c_shared_parts", 1, 9)];
const SHARED_TWO_LAYERS: [Origin; 1] = [("dsse_kms_blob", 0, 4)];

/// An object with a part of its own and parts of the vectors before it.
fn sharing(name: &'static str, description: &str, mode: Mode, shared: &[Origin], vectors: &BTreeMap<String, Good>) -> ObjectVector {
    let mut object = object(name, description, mode, vec![(1, Plaintext::Formula { seed: 8, len: 70 }, true)]).1;
    let keys = object_keys_from(&object.object_keys.0);
    let mut parts = Manifest::decode(&object.manifest.0).unwrap().parts().to_vec();
    for (origin, index, number) in shared {
        let Good::Object(origin) = &vectors[*origin] else { panic!("{origin} is no object") };
        let part = &Manifest::decode(&origin.manifest.0).unwrap().parts()[*index].clone();
        let salt = secret(name, &format!("salt of the keys of part {number}"));
        parts.push(part.share_with_salt(&object_keys_from(&origin.object_keys.0), *number, &keys, salt).unwrap());
        object.parts.push(origin.parts[*index].clone());
    }
    let manifest = Manifest::new(parts).unwrap();
    (object.manifest, object.manifest_digest) = (Hex(manifest.encode()), Hex(manifest.digest().to_vec()));
    object
}

fn seal_keys(object: &ObjectVector, name: &str) -> Hex {
    let (bucket_id, version_id) = (BucketId(object.bucket_id.array()), VersionId(object.version_id.array()));
    let identity = ObjectIdentity { bucket_id, key: &object.key, version_id };
    let mode = Mode::try_from(object.mode).unwrap();
    let external_keys = ExternalKeys::from_data_key(mode, &object.external_keys.0).unwrap();
    let salts = [secret(name, "salt of layer 0"), secret(name, "salt of layer 1")];
    let sealed = object_keys_from(&object.object_keys.0).seal_with_salts(mode, &external_keys, &identity, &salts).unwrap();
    Hex(sealed.as_bytes().to_vec())
}

fn record(name: &str, kind: RecordKind) -> RecordVector {
    let store_key = secret("vectors", "store key of records");
    let fields = [id("vectors", "bucket").to_vec(), b"vectors/record.bin".to_vec(), id("vectors", "version").to_vec()];
    let slices: Vec<_> = fields.iter().map(Vec::as_slice).collect();
    let plaintext = format!("{{\"etag\":\"{name}\"}}").into_bytes();
    let salt = secret(name, "salt");
    let sealed = StoreKey::from_slice(&store_key).unwrap().seal_record_with_salt(kind, &slices, &plaintext, &salt).unwrap();
    RecordVector {
        format_version: 1,
        description: format!("a record of kind {kind:?}"),
        store_key: Hex(store_key.to_vec()),
        kind: kind as u8,
        fields: fields.map(Hex).to_vec(),
        plaintext: Hex(plaintext),
        sealed: Hex(sealed),
    }
}

fn check() -> KeyCheckVector {
    let (salt, key) = (id("key_check", "salt"), secret("key_check", "key"));
    KeyCheckVector {
        format_version: 1,
        description: "the fingerprint of an SSE-C key".to_owned(),
        check: Hex(key_check(&salt, &key).to_vec()),
        salt: Hex(salt.to_vec()),
        key: Hex(key.to_vec()),
    }
}

fn store_external_key(store_key: &[u8]) -> Vec<u8> {
    let prk = provider::Prk::extract(store_key, b"strongroom v1 store").unwrap();
    prk.expand(&mut encoding::Fields::new("strongroom v1 store ek").into_bytes()).unwrap().to_vec()
}

fn object_keys_from(bytes: &[u8]) -> ObjectKeys {
    let (inner, outer) = bytes.split_first_chunk().unwrap();
    ObjectKeys::from_bytes(*inner, outer.first_chunk().copied())
}

fn bytes_of(name: &str, label: &str, layers: usize) -> Vec<u8> {
    (0..layers).flat_map(|layer| secret(name, &format!("{label} {layer}"))).collect()
}

fn secret(name: &str, label: &str) -> [u8; 32] {
    provider::sha256(format!("strongroom vector: {name}: {label}").as_bytes())
}

fn id(name: &str, label: &str) -> [u8; 16] {
    *secret(name, label).first_chunk().unwrap()
}
