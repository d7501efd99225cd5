//! The document of the API.

use serde_json::Value;
use strongroom_admin::Admin;

use crate::rig::Rig;

fn document() -> Value {
    serde_json::from_str(&Admin::openapi()).unwrap()
}

/// Every method and path, and what is said of it.
pub(crate) fn calls() -> Vec<(String, String, Value)> {
    let document = document();
    let of = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, call)| (method.to_uppercase(), path.clone(), call.clone())).collect::<Vec<_>>()
    };
    document["paths"].as_object().unwrap().iter().flat_map(of).collect()
}

#[tokio::test]
async fn the_document_is_served() {
    let rig = Rig::new().await;
    for prefix in ["", "/strongroom/admin/v1", "/rustfs/admin/v3"] {
        assert_eq!(rig.ok("GET", &format!("{prefix}/kms/openapi.json"), Value::Null).await, document());
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    let document = document();
    let mut references = std::collections::BTreeSet::new();
    collect(&document, &mut references);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let names: std::collections::BTreeSet<_> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(references, names);
}

fn collect(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[test]
fn every_call_has_a_name_of_its_own_a_summary_a_permission_and_all_errors() {
    let mut ids = std::collections::BTreeSet::new();
    for (method, path, call) in calls() {
        assert!(ids.insert(call["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
        assert!(!call["summary"].as_str().unwrap().is_empty());
        assert!(call["description"].as_str().unwrap().starts_with("Needs `"), "{method} {path}");
        for status in ["400", "401", "403", "404", "409", "501", "503"] {
            assert!(call["responses"].get(status).is_some(), "{method} {path} {status}");
        }
    }
    assert!(ids.len() > 50, "{}", ids.len());
}
