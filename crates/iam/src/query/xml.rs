//! Answers in XML, made of the JSON that calls give.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{IamError, table::Service};

/// Policy documents are percent-encoded in answers. Source: "PolicyDocument" in the API reference of IAM.
const ENCODED: [&str; 3] = ["PolicyDocument", "AssumeRolePolicyDocument", "Document"];

/// What a client reads of a call that was done.
pub(crate) fn answer(service: Service, name: &str, value: &Value, request_id: &str) -> String {
    let mut xml = String::with_capacity(512);
    let _ = write!(xml, "<{name}Response xmlns=\"{}\">", service.namespace());
    // A call that answers nothing has no element for it.
    if !value.is_null() {
        element(&mut xml, &format!("{name}Result"), value);
    }
    let _ = write!(xml, "<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{name}Response>", escaped(request_id));
    xml
}

/// What a client reads of a call that was refused.
pub(crate) fn refusal(service: Service, error: &IamError, request_id: &str) -> String {
    let (code, status) = error.code();
    let at_fault = if status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{}\"><Error><Type>{at_fault}</Type><Code>{code}</Code><Message>{}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
        service.namespace(),
        escaped(&error.message()),
        escaped(request_id)
    )
}

fn element(xml: &mut String, name: &str, value: &Value) {
    let text = match value {
        Value::Null => return,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if ENCODED.contains(&name) => percent_encoded(text),
        Value::String(text) => escaped(text),
        // The entries of a map stand beside each other.
        Value::Array(entries) if name == "entry" => return entries.iter().for_each(|entry| element(xml, name, entry)),
        Value::Array(members) => {
            let _ = write!(xml, "<{name}>");
            for member in members {
                element(xml, "member", member);
            }
            let _ = write!(xml, "</{name}>");
            return;
        }
        Value::Object(fields) => {
            let _ = write!(xml, "<{name}>");
            fields.iter().for_each(|(name, value)| element(xml, name, value));
            let _ = write!(xml, "</{name}>");
            return;
        }
    };
    let _ = write!(xml, "<{name}>{text}</{name}>");
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no other control characters.
            '\t' | '\n' => escaped.push(one),
            '\r' => escaped.push_str("&#13;"),
            one if one.is_control() || matches!(one, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            one => escaped.push(one),
        }
    }
    escaped
}

/// RFC 3986: all but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_the_xml_of_the_call() {
        let value = json!({"Users": [{"UserName": "a<b", "Tags": []}], "IsTruncated": false, "Marker": null});
        assert_eq!(
            answer(Service::Iam, "ListUsers", &value, "7"),
            "<ListUsersResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListUsersResult><IsTruncated>false</IsTruncated>\
             <Users><member><Tags></Tags><UserName>a&lt;b</UserName></member></Users></ListUsersResult>\
             <ResponseMetadata><RequestId>7</RequestId></ResponseMetadata></ListUsersResponse>"
        );
        assert_eq!(
            answer(Service::Sts, "X", &Value::Null, "7"),
            "<XResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><ResponseMetadata><RequestId>7</RequestId></ResponseMetadata></XResponse>"
        );
    }

    #[test]
    fn policy_documents_are_percent_encoded() {
        let xml = answer(Service::Iam, "GetUserPolicy", &json!({"PolicyDocument": "{\"a\": 1}~"}), "7");
        assert!(xml.contains("<PolicyDocument>%7B%22a%22%3A%201%7D~</PolicyDocument>"), "{xml}");
    }

    #[test]
    fn a_refusal_says_whose_fault_it_is() {
        let xml = refusal(Service::Iam, &IamError::NoSuchEntity("no \u{1} & no".to_owned()), "7");
        assert!(xml.contains("<Type>Sender</Type><Code>NoSuchEntity</Code><Message>no \u{fffd} &amp; no</Message>"), "{xml}");
        let xml = refusal(Service::Iam, &IamError::Internal("secret cause".into()), "7");
        assert!(xml.contains("<Type>Receiver</Type><Code>ServiceFailure</Code>") && !xml.contains("secret cause"), "{xml}");
    }
}
