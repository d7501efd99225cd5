//! Events as Amazon S3 sends them. Source: Amazon S3 User Guide, "Event message structure".

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use strongroom_engine::events::{EventName, EventRecord, QueuedEvent};
use time::{OffsetDateTime, macros::format_description};

/// Of creations and removals.
const VERSION: &str = "2.1";
/// Of lifecycle and tagging.
const NEWER_VERSION: &str = "2.3";

/// The body of a request.
pub(crate) fn body(event: &QueuedEvent, told: &EventRecord) -> Vec<u8> {
    let document = match told.event {
        EventName::TestEvent => test(told),
        _ => json!({ "Records": [record(event, told)] }),
    };
    document.to_string().into_bytes()
}

/// One record, with the encryption in a field of its own that S3 does not have.
pub(crate) fn record(event: &QueuedEvent, told: &EventRecord) -> Value {
    let version = match told.event {
        EventName::ObjectCreatedPut
        | EventName::ObjectCreatedPost
        | EventName::ObjectCreatedCopy
        | EventName::ObjectCreatedCompleteMultipartUpload
        | EventName::ObjectRemovedDelete
        | EventName::ObjectRemovedDeleteMarkerCreated
        | EventName::TestEvent => VERSION,
        EventName::ObjectTaggingPut
        | EventName::ObjectTaggingDelete
        | EventName::ObjectAclPut
        | EventName::LifecycleExpirationDelete
        | EventName::LifecycleExpirationDeleteMarkerCreated => NEWER_VERSION,
    };
    let mut record = json!({
        "eventVersion": version,
        "eventSource": "aws:s3",
        "awsRegion": told.region,
        "eventTime": timestamp(told.at),
        "eventName": told.event.as_str(),
        "userIdentity": { "principalId": told.who },
        "requestParameters": told.peer.map_or(json!({}), |peer| json!({ "sourceIPAddress": peer.to_string() })),
        "responseElements": { "x-amz-request-id": told.request_id },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": told.configuration,
            "bucket": {
                "name": told.bucket,
                "ownerIdentity": { "principalId": told.owner },
                "arn": format!("arn:aws:s3:::{}", told.bucket),
            },
            "object": object(event, told),
        },
    });
    if let Some(encryption) = &told.encryption {
        record["strongroom"] = json!({ "encryption": { "mode": encryption.mode, "kmsKeyId": encryption.kms_key_id } });
    }
    record
}

fn object(event: &QueuedEvent, told: &EventRecord) -> Value {
    let mut object = Map::new();
    object.insert("key".to_owned(), json!(encoded(&told.key)));
    if let Some(size_bytes) = told.size_bytes {
        object.insert("size".to_owned(), json!(size_bytes));
    }
    if let Some(etag) = &told.etag {
        object.insert("eTag".to_owned(), json!(etag));
    }
    if let Some(version_id) = &told.version_id {
        object.insert("versionId".to_owned(), json!(version_id));
    }
    object.insert("sequencer".to_owned(), json!(sequencer(event)));
    object.into()
}

/// Of two events of a key, the later one has the greater text.
pub(crate) fn sequencer(event: &QueuedEvent) -> String {
    format!("{:016X}", event.sequence)
}

fn test(told: &EventRecord) -> Value {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": timestamp(told.at),
        "Bucket": told.bucket,
        "RequestId": told.request_id,
        "HostId": "",
    })
}

/// `2030-01-31T00:00:00.000Z`
pub(crate) fn timestamp(at_ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&format).unwrap_or_default()
}

/// As S3 encodes keys in events: as a form does, and slashes stay.
fn encoded(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
pub(crate) mod tests {
    use strongroom_engine::events::{EventEncryption, EventId};

    use super::*;

    pub(crate) fn told() -> EventRecord {
        EventRecord {
            event: EventName::ObjectCreatedPut,
            at: 1_893_456_000_123,
            region: "eu-1".to_owned(),
            bucket: "b".to_owned(),
            owner: "alice".to_owned(),
            configuration: "c".to_owned(),
            key: "a b/ü+.txt".to_owned(),
            size_bytes: Some(5),
            etag: Some("abc".to_owned()),
            version_id: Some("v".to_owned()),
            who: "bob".to_owned(),
            peer: Some([192, 0, 2, 1].into()),
            request_id: "R".to_owned(),
            encryption: Some(EventEncryption { mode: "SSE-KMS".to_owned(), kms_key_id: Some("alpha".to_owned()) }),
        }
    }

    pub(crate) fn queued(told: EventRecord) -> QueuedEvent {
        QueuedEvent { position: 300, sequence: 255, id: EventId([7; 16]), lane: [1; 16], added: told.at, record: Some(told) }
    }

    fn sent(told: &EventRecord) -> Value {
        serde_json::from_slice(&body(&queued(told.clone()), told)).unwrap_or_default()
    }

    #[test]
    fn a_record_has_all_that_s3s_has_and_the_encryption() {
        let expected = json!({ "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-1",
            "eventTime": "2030-01-01T00:00:00.123Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": { "principalId": "bob" },
            "requestParameters": { "sourceIPAddress": "192.0.2.1" },
            "responseElements": { "x-amz-request-id": "R" },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "c",
                "bucket": { "name": "b", "ownerIdentity": { "principalId": "alice" }, "arn": "arn:aws:s3:::b" },
                "object": { "key": "a+b/%C3%BC%2B.txt", "size": 5, "eTag": "abc", "versionId": "v", "sequencer": "00000000000000FF" },
            },
            "strongroom": { "encryption": { "mode": "SSE-KMS", "kmsKeyId": "alpha" } },
        }] });
        assert_eq!(sent(&told()), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let event = EventName::LifecycleExpirationDelete;
        let record = EventRecord { event, size_bytes: None, etag: None, version_id: None, peer: None, encryption: None, ..told() };
        let record = &sent(&record)["Records"][0];
        assert_eq!(record["s3"]["object"], json!({ "key": "a+b/%C3%BC%2B.txt", "sequencer": "00000000000000FF" }));
        assert_eq!(
            (&record["eventVersion"], &record["requestParameters"], &record["strongroom"]),
            (&json!("2.3"), &json!({}), &Value::Null)
        );
    }

    #[test]
    fn the_test_event_has_its_own_form() {
        let sent = sent(&EventRecord { event: EventName::TestEvent, ..told() });
        assert_eq!((&sent["Event"], &sent["Bucket"], &sent["Records"]), (&json!("s3:TestEvent"), &json!("b"), &Value::Null));
    }
}
