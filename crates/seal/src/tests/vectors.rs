//! Reads the published vectors (`crates/seal/vectors`, described in `docs/format.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use strongroom_ids::{BucketId, VersionId};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hex(pub(super) Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Good {
    Object(ObjectVector),
    Record(RecordVector),
    KeyCheck(KeyCheckVector),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectVector {
    pub(super) format_version: u8,
    pub(super) description: String,
    pub(super) mode: u8,
    pub(super) bucket_id: Hex,
    pub(super) key: String,
    pub(super) version_id: Hex,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) store_key: Option<Hex>,
    pub(super) external_keys: Hex,
    pub(super) object_keys: Hex,
    pub(super) sealed_keys: Hex,
    pub(super) manifest: Hex,
    pub(super) manifest_digest: Hex,
    pub(super) parts: Vec<PartVector>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartVector {
    pub(super) plaintext: Plaintext,
    pub(super) blob_sha256: Hex,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blob: Option<Hex>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Plaintext {
    Hex(Hex),
    Formula { seed: u8, len: usize },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordVector {
    pub(super) format_version: u8,
    pub(super) description: String,
    pub(super) store_key: Hex,
    pub(super) kind: u8,
    pub(super) fields: Vec<Hex>,
    pub(super) plaintext: Hex,
    pub(super) sealed: Hex,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyCheckVector {
    pub(super) format_version: u8,
    pub(super) description: String,
    pub(super) salt: Hex,
    pub(super) key: Hex,
    pub(super) check: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    format_version: u8,
    defect: String,
    base: String,
    #[serde(default = "yes")]
    check_digest: bool,
    mutations: Vec<Mutation>,
    error: String,
}

#[derive(Deserialize)]
struct Mutation {
    target: String,
    #[serde(flatten)]
    op: Op,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Op {
    Flip { at: usize, mask: u8 },
    Truncate { len: usize },
    Cut { at: usize, len: usize },
    Insert { at: usize, hex: Hex },
    Write { at: usize, hex: Hex },
    Swap { a: usize, b: usize, len: usize },
    Copy { from: usize, to: usize, len: usize },
    Splice { vector: String, source: String, from: usize, to: usize, len: usize },
    Set { value: Hex },
}

/// The bytes of a vector by the names of its targets, to be altered and then read.
type Targets = BTreeMap<String, Vec<u8>>;

#[test]
fn every_good_vector_opens() {
    for (name, good) in load::<Good>("good") {
        let expected = match &good {
            Good::Object(object) => object.parts.iter().map(|part| part.plaintext.bytes()).collect(),
            Good::Record(record) => vec![record.plaintext.0.clone()],
            Good::KeyCheck(check) => {
                let [key, wrong] = [check.key.array(), [0; 32]];
                assert!(verify_key_check(&check.salt.array(), &key, &check.check.array()), "{name}");
                assert!(!verify_key_check(&check.salt.array(), &wrong, &check.check.array()), "{name}");
                continue;
            }
        };
        let read = read(&good, &targets(&good), true);
        assert!(read == Ok(expected), "{name}: {:?}", read.err());
    }
}

#[test]
fn every_broken_vector_gives_exactly_its_error() {
    let (good, mut wrong) = (load::<Good>("good"), Vec::new());
    for (name, broken) in load::<Broken>("broken") {
        assert_eq!(broken.format_version, 1);
        assert!(!broken.defect.is_empty() && !broken.mutations.is_empty(), "{name} names no defect");
        let base = &good[&broken.base];
        let mut altered = targets(base);
        for mutation in &broken.mutations {
            mutation.apply(&mut altered, &good);
        }
        assert!(altered != targets(base), "{name} alters nothing");
        let error = read(base, &altered, broken.check_digest).err().map(|error| format!("{error:?}"));
        if error.as_deref() != Some(broken.error.as_str()) {
            wrong.push(format!("{name} ({}): {error:?}", broken.defect));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn broken_vectors_outnumber_good_ones() {
    let (good, broken) = (load::<Good>("good").len(), load::<Broken>("broken").len());
    assert!(good >= 10 && broken > 3 * good, "{good} good, {broken} broken");
}

/// What the offline tool does, or who opens a record.
fn read(good: &Good, targets: &Targets, check_digest: bool) -> Result<Vec<Vec<u8>>, SealError> {
    match good {
        Good::Object(object) => read_object(targets, object.parts.len(), check_digest),
        Good::Record(record) => {
            let fields: Vec<_> = (0..record.fields.len()).map(|index| targets[&format!("field:{index}")].as_slice()).collect();
            let kinds = [RecordKind::Version, RecordKind::Upload, RecordKind::Part];
            let kind = kinds.into_iter().find(|kind| [*kind as u8] == *targets["kind"]).unwrap();
            Ok(vec![StoreKey::from_slice(&targets["store_key"])?.open_record(kind, &fields, &targets["sealed"])?])
        }
        Good::KeyCheck(_) => panic!("a key check cannot be broken, only wrong"),
    }
}

fn read_object(targets: &Targets, parts: usize, check_digest: bool) -> Result<Vec<Vec<u8>>, SealError> {
    let identity = ObjectIdentity {
        bucket_id: BucketId(*targets["bucket_id"].first_chunk().unwrap()),
        key: str::from_utf8(&targets["key"]).unwrap(),
        version_id: VersionId(*targets["version_id"].first_chunk().unwrap()),
    };
    let external = &targets["external_keys"];
    let mode = if external.len() == 64 { Mode::DsseKms } else { Mode::SseKms };
    let external = ExternalKeys::from_data_key(mode, external)?;
    let object = OfflineObject::open(&targets["sealed_keys"], &identity, &external, &targets["manifest"])?;
    if check_digest {
        object.manifest().verify(targets["manifest_digest"].first_chunk().unwrap())?;
    }
    let open = |index| {
        let blob = &targets[&format!("blob:{index}")];
        Ok(object.open_blob(index, blob)?.concat())
    };
    (0..parts.min(object.manifest().parts().len())).map(open).collect()
}

fn targets(good: &Good) -> Targets {
    let mut targets = Targets::new();
    let mut put = |name: &str, bytes: &[u8]| targets.insert(name.to_owned(), bytes.to_vec());
    match good {
        Good::Object(object) => {
            put("bucket_id", &object.bucket_id.0);
            put("key", object.key.as_bytes());
            put("version_id", &object.version_id.0);
            put("external_keys", &object.external_keys.0);
            put("sealed_keys", &object.sealed_keys.0);
            put("manifest", &object.manifest.0);
            put("manifest_digest", &object.manifest_digest.0);
            for (index, part) in object.parts.iter().enumerate() {
                put(&format!("blob:{index}"), &part.blob(object, index));
            }
        }
        Good::Record(record) => {
            put("store_key", &record.store_key.0);
            put("kind", &[record.kind]);
            put("sealed", &record.sealed.0);
            for (index, field) in record.fields.iter().enumerate() {
                put(&format!("field:{index}"), &field.0);
            }
        }
        Good::KeyCheck(_) => {}
    }
    targets
}

impl PartVector {
    /// The blob, sealed again where the file has only its hash.
    fn blob(&self, object: &ObjectVector, index: usize) -> Vec<u8> {
        let blob = self.blob.clone().map_or_else(|| self.seal_again(object, index), |blob| blob.0);
        assert_eq!(provider::sha256(&blob).to_vec(), self.blob_sha256.0);
        blob
    }

    fn seal_again(&self, object: &ObjectVector, index: usize) -> Vec<u8> {
        let part = Manifest::decode(&object.manifest.0).unwrap().parts()[index].clone();
        assert_eq!(part.shared, None, "a shared blob is published whole");
        super::vector_maker::seal(&object.object_keys.0, part.number, part.salt, &self.plaintext.bytes())
    }
}

impl Plaintext {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Hex(bytes) => bytes.0.clone(),
            Self::Formula { seed, len } => super::plaintext(*seed, *len),
        }
    }
}

impl Mutation {
    fn apply(&self, targets: &mut Targets, vectors: &BTreeMap<String, Good>) {
        let bytes = targets.get_mut(&self.target).unwrap();
        match &self.op {
            Op::Flip { at, mask } => bytes[*at] ^= mask,
            Op::Truncate { len } => {
                assert!(*len < bytes.len());
                bytes.truncate(*len);
            }
            Op::Cut { at, len } => drop(bytes.drain(*at..at + len)),
            Op::Insert { at, hex } => drop(bytes.splice(*at..*at, hex.0.iter().copied())),
            Op::Write { at, hex } => bytes[*at..at + hex.0.len()].copy_from_slice(&hex.0),
            Op::Swap { a, b, len } => (0..*len).for_each(|i| bytes.swap(a + i, b + i)),
            Op::Copy { from, to, len } => bytes.copy_within(*from..from + len, *to),
            Op::Splice { vector, source, from, to, len } => {
                let other = &self::targets(&vectors[vector])[source];
                bytes[*to..to + len].copy_from_slice(&other[*from..from + len]);
            }
            Op::Set { value } => bytes.clone_from(&value.0),
        }
    }
}

pub(super) fn directory(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(of)
}

pub(super) fn load<T: DeserializeOwned>(of: &str) -> BTreeMap<String, T> {
    let files = std::fs::read_dir(directory(of)).unwrap().map(|entry| entry.unwrap().path());
    let vectors: BTreeMap<_, _> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let vector = serde_json::from_slice(&std::fs::read(&path).unwrap());
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), vector.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect();
    assert!(!vectors.is_empty());
    vectors
}

impl Hex {
    pub(super) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap()
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

fn yes() -> bool {
    true
}
