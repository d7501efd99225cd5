//! What the golden store has sealed under its store key opens with nothing but what `docs/format.md` says.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rusqlite::{Connection, Row};
use serde_json::Value;
use strongroom_engine::STORE_KEY_SETTING;
use strongroom_kms::{EncryptionContext, KeyService as _, WrappedKey};
use strongroom_seal::{RecordKind, StoreKey};

use super::golden_store::*;

type Fields = Vec<Vec<u8>>;

#[tokio::test]
async fn records_of_each_version_open_with_the_fields_that_the_format_names() {
    for version in VERSIONS {
        open_with_the_fields_that_the_format_names(version).await;
    }
}

async fn open_with_the_fields_that_the_format_names(version: u32) {
    let (store, expected) = (Store::golden(version).await, expected(version));
    let rows = Connection::open(store.dir.path().join("catalog.db")).unwrap();
    let store_key = store_key(&store, &rows).await;
    let open = |kind, fields: &Fields, sealed: &[u8]| -> Value {
        serde_json::from_slice(&store_key.open_record(kind, &slices(fields), sealed).unwrap()).unwrap()
    };

    let sql = "SELECT b.bucket_id, v.key, v.version_id, v.size_bytes, v.modified, v.mode, k.backend, k.key_id, k.version, v.record, \
               d.part_record FROM versions v JOIN buckets b ON b.id = v.bucket JOIN version_data d ON d.version = v.id \
               LEFT JOIN kms_keys k ON k.id = v.kms_key";
    let versions = all(&rows, sql, |row| {
        let fields = [blob(row, 0), blob(row, 1), blob(row, 2), number(row, 3), number(row, 4), vec![row.get(5).unwrap()]];
        (with_key(fields.into(), row, 6), blob(row, 9), blob(row, 10))
    });
    assert_eq!(versions.len(), expected.objects.len());
    for (fields, record, part_record) in versions {
        let key = String::from_utf8(fields[1].clone()).unwrap();
        let answer = expected.objects.iter().find(|answer| answer.key == key).unwrap();
        assert_eq!(open(RecordKind::Version, &fields, &record)["etag"]["shown"], answer.etag);
        assert_eq!(part_record.is_empty(), answer.parts_count.is_none(), "only multipart objects have checksums of parts");
        if !part_record.is_empty() {
            let checksums = open(RecordKind::Part, &fields, &part_record);
            assert_eq!(checksums.as_array().map(Vec::len), answer.parts_count.map(|count| count as usize));
        }
    }

    let sql = "SELECT u.upload_id, b.bucket_id, u.key, u.version_id, u.initiated, CAST(u.initiator AS BLOB), u.mode, k.backend, k.key_id, \
               k.version, u.record FROM uploads u JOIN buckets b ON b.id = u.bucket LEFT JOIN kms_keys k ON k.id = u.kms_key";
    let uploads = all(&rows, sql, |row| {
        let ids = [blob(row, 0), blob(row, 1), blob(row, 2), blob(row, 3)];
        let rest = [number(row, 4), blob(row, 5), vec![row.get(6).unwrap()]];
        (with_key(ids.into_iter().chain(rest).collect(), row, 7), blob(row, 10))
    });
    let [(fields, record)] = &uploads[..] else { panic!("{}", uploads.len()) };
    assert_eq!(open(RecordKind::Upload, fields, record)["checksum"], serde_json::json!(["SHA256", "COMPOSITE"]));

    let sql = "SELECT u.upload_id, p.number, p.size_bytes, p.blob, p.record FROM parts p JOIN uploads u ON u.id = p.upload";
    let parts = all(&rows, sql, |row| {
        let part_number: u16 = row.get(1).unwrap();
        (vec![blob(row, 0), part_number.to_be_bytes().into(), number(row, 2), blob(row, 3)], blob(row, 4))
    });
    let [(fields, record)] = &parts[..] else { panic!("{}", parts.len()) };
    assert_eq!(open(RecordKind::Part, fields, record)["etag"]["shown"], expected.part_etag);
    let crc64 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &part_data(0)).to_be_bytes();
    let print = store_key.fingerprint(&[b"part etag", &fields[0], &fields[1], &fields[2], &crc64]).unwrap();
    assert_eq!(hex::encode(&print[..16]), expected.part_etag);
}

#[tokio::test]
async fn documents_of_version_2_open_with_the_fields_that_the_format_names() {
    let (store, expected) = (Store::golden(2).await, expected(2));
    let rows = Connection::open(store.dir.path().join("catalog.db")).unwrap();
    let store_key = store_key(&store, &rows).await;
    let (name, document) = DOCUMENT;
    let sql = "SELECT value FROM settings WHERE name = 'state/' || ?1";
    let sealed: Vec<u8> = rows.query_row(sql, [name], |row| row.get(0)).unwrap();
    assert_eq!(store_key.open_record(RecordKind::Document, &[b"setting", name.as_bytes()], &sealed).unwrap(), document);
    let (id, sealed): (Vec<u8>, Vec<u8>) =
        rows.query_row("SELECT job_id, record FROM jobs", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(hex::encode(&id), expected.job_id);
    let record: Value = serde_json::from_slice(&store_key.open_record(RecordKind::Document, &[b"job", &id], &sealed).unwrap()).unwrap();
    assert_eq!((&record["job"]["done"], &record["job"]["state"]), (&2.into(), &"Completed".into()));
}

#[tokio::test]
async fn tags_of_buckets_of_each_version_are_fingerprints_of_the_fields_that_the_format_names() {
    for version in VERSIONS {
        tags_are_fingerprints(&Store::golden(version).await).await;
    }
}

async fn tags_are_fingerprints(store: &Store) {
    let rows = Connection::open(store.dir.path().join("catalog.db")).unwrap();
    let store_key = store_key(store, &rows).await;
    let sql = "SELECT bucket_id, name, CAST(owner AS BLOB), CAST(region AS BLOB), created, tag FROM buckets ORDER BY name";
    let buckets = all(&rows, sql, |row| {
        let text = [blob(row, 0), blob(row, 1), blob(row, 2), blob(row, 3)];
        let fields: Fields = [b"bucket".to_vec()].into_iter().chain(text).chain([number(row, 4), vec![0]]).collect();
        (fields, blob(row, 5))
    });
    let encryption = [([0, 0, 0], ""), ([2, 1, 1], "beta")];
    assert_eq!(buckets.len(), encryption.len());
    for ((mut fields, tag), (flags, kms_key_id)) in buckets.into_iter().zip(encryption) {
        fields.extend([flags.to_vec(), kms_key_id.into()]);
        assert_eq!(store_key.fingerprint(&slices(&fields)).unwrap().to_vec(), tag);
    }
}

async fn store_key(store: &Store, rows: &Connection) -> StoreKey {
    let sql = "SELECT value FROM settings WHERE name = ?1";
    let setting: Vec<u8> = rows.query_row(sql, [STORE_KEY_SETTING], |row| row.get(0)).unwrap();
    let setting: Value = serde_json::from_slice(&setting).unwrap();
    let text = |name: &str| setting[name].as_str().unwrap().to_owned();
    let wrapped = WrappedKey {
        backend: text("backend"),
        key_id: text("key_id"),
        key_version: setting["key_version"].as_u64().unwrap().try_into().unwrap(),
        ciphertext: STANDARD.decode(text("ciphertext")).unwrap(),
    };
    let context = EncryptionContext([("strongroom:purpose".to_owned(), "store-key".to_owned())].into());
    StoreKey::from_slice(&store.kms.unwrap_data_key(&wrapped, &context).await.unwrap()).unwrap()
}

fn all<T>(rows: &Connection, sql: &str, read: impl Fn(&Row<'_>) -> T) -> Vec<T> {
    let mut statement = rows.prepare(sql).unwrap();
    statement.query_map([], |row| Ok(read(row))).unwrap().map(Result::unwrap).collect()
}

fn slices(fields: &Fields) -> Vec<&[u8]> {
    fields.iter().map(Vec::as_slice).collect()
}

fn blob(row: &Row<'_>, column: usize) -> Vec<u8> {
    row.get(column).unwrap()
}

fn number(row: &Row<'_>, column: usize) -> Vec<u8> {
    row.get::<_, i64>(column).unwrap().to_be_bytes().into()
}

/// The fields, and behind them those of the KMS key, which begin in this column.
fn with_key(mut fields: Fields, row: &Row<'_>, column: usize) -> Fields {
    let text = |column| row.get::<_, Option<String>>(column).unwrap().unwrap_or_default().into_bytes();
    let version = row.get::<_, Option<u32>>(column + 2).unwrap().unwrap_or_default();
    fields.extend([text(column), text(column + 1), version.to_be_bytes().into()]);
    fields
}
