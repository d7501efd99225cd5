//! Events as CloudEvents 1.0 in structured mode, after the CloudEvents adapter for Amazon S3.

use serde_json::{Value, json};
use strongroom_engine::events::{EventName, EventRecord, QueuedEvent};

use crate::s3;

pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The body of a request. `sequence` is the extension of that name: a text that grows with each event of a key.
pub(crate) fn body(event: &QueuedEvent, told: &EventRecord) -> Vec<u8> {
    let mut document = json!({
        "specversion": "1.0",
        "id": event.id.to_string(),
        "source": format!("strongroom:s3.{}.{}", told.region, told.bucket),
        "type": format!("com.amazonaws.s3.{}", told.event.as_str()),
        "time": s3::timestamp(told.at),
        "sequence": s3::sequencer(event),
        "datacontenttype": "application/json",
        "data": data(event, told),
    });
    // A subject is not empty.
    if !told.key.is_empty() {
        document["subject"] = json!(told.key);
    }
    document.to_string().into_bytes()
}

fn data(event: &QueuedEvent, told: &EventRecord) -> Value {
    match told.event {
        EventName::TestEvent => json!({ "bucket": told.bucket }),
        _ => s3::record(event, told),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::s3::tests::{queued, told};

    #[test]
    fn an_event_has_the_attributes_and_the_record_as_data() {
        let mut sent: Value = serde_json::from_slice(&body(&queued(told()), &told())).unwrap();
        assert_eq!(sent["data"].take(), s3::record(&queued(told()), &told()));
        let expected = json!({
            "specversion": "1.0",
            "id": "07070707070707070707070707070707",
            "source": "strongroom:s3.eu-1.b",
            "type": "com.amazonaws.s3.ObjectCreated:Put",
            "time": "2030-01-01T00:00:00.123Z",
            "sequence": "00000000000000FF",
            "datacontenttype": "application/json",
            "subject": "a b/ü+.txt",
            "data": null,
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_test_has_no_subject() {
        let told = EventRecord { event: EventName::TestEvent, key: String::new(), ..told() };
        let sent: Value = serde_json::from_slice(&body(&queued(told.clone()), &told)).unwrap();
        assert_eq!((sent.get("subject"), &sent["data"]), (None, &json!({ "bucket": "b" })));
    }
}
