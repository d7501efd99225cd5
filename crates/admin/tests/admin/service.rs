//! Configure, start, stop, seal, status.

use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test]
async fn a_service_is_configured_started_looked_at_and_stopped() {
    let rig = Rig::unconfigured().await;
    assert_eq!(rig.ok("GET", "/kms/status", Value::Null).await["status"], "NotConfigured");
    rig.refused("GET", "/kms/config", Value::Null, 409, "NotConfigured").await;
    rig.refused("POST", "/kms/start", json!({}), 409, "NotConfigured").await;
    rig.refused("GET", "/kms/keys", Value::Null, 409, "NotConfigured").await;

    let change = json!({"backend_type": "local", "default_key_id": "first", "timeout_seconds": 7, "retry_attempts": 2});
    let configured = rig.ok("POST", "/kms/configure", change).await;
    assert_eq!(configured, json!({"success": true, "message": "KMS configured successfully", "status": "Configured"}));
    let started = rig.ok("POST", "/kms/start", Value::Null).await;
    assert_eq!(started, json!({"success": true, "message": "KMS service started successfully", "status": "Running"}));

    let status = rig.ok("GET", "/kms/status", Value::Null).await;
    assert_eq!((&status["status"], &status["backend_type"], &status["healthy"]), (&json!("Running"), &json!("local"), &json!(true)));
    let summary = &status["config_summary"];
    assert_eq!(summary["default_key_id"], "first");
    assert_eq!((&summary["timeout_seconds"], &summary["retry_attempts"], &summary["enable_cache"]), (&json!(7), &json!(2), &json!(true)));
    assert_eq!((&summary["cache_summary"]["max_keys"], &summary["cache_summary"]["ttl_seconds"]), (&json!(1000), &json!(300)));
    assert_eq!(rig.ok("GET", "/rustfs/admin/v3/kms/service-status", Value::Null).await["status"], "Running");

    rig.refused("POST", "/kms/configure", json!({"backend_type": "local"}), 409, "Conflict").await;
    let reconfigured = rig.ok("POST", "/strongroom/admin/v1/kms/reconfigure", json!({"cache_ttl_seconds": 9})).await;
    assert_eq!(reconfigured["status"], "Running");
    let summary = rig.ok("GET", "/kms/status", Value::Null).await["config_summary"].clone();
    assert_eq!((&summary["cache_summary"]["ttl_seconds"], &summary["timeout_seconds"]), (&json!(9), &json!(7)));

    let stopped = rig.ok("POST", "/kms/stop", json!({})).await;
    assert_eq!(stopped, json!({"success": true, "message": "KMS service stopped successfully", "status": "Configured"}));
    assert_eq!(rig.ok("POST", "/kms/start", json!({"force": true})).await["status"], "Running");
}

#[tokio::test]
async fn a_bad_change_is_refused_by_the_name_of_its_field_and_changes_nothing() {
    let rig = Rig::new().await;
    let before = rig.ok("GET", "/kms/config", Value::Null).await;
    for (change, named) in [
        (json!({"key_dirr": "/tmp"}), "key_dirr"),
        (json!({"timeout_seconds": "s.very-secret"}), "timeout_seconds"),
        (json!({"enable_cache": 1}), "enable_cache"),
        (json!({"backend_type": "abacus"}), "backend_type"),
        (json!({"timeout_seconds": 0}), "timeout_seconds"),
    ] {
        let message = rig.refused("POST", "/kms/reconfigure", change.clone(), 400, "InvalidRequest").await;
        assert!(message.contains(named), "{change}: {message}");
        assert!(!message.contains("very-secret"), "{message}");
    }
    assert_eq!(rig.call("POST", "/kms/reconfigure", json!("text")).await.status, 400);
    assert_eq!(rig.ok("GET", "/kms/config", Value::Null).await, before);
}

#[tokio::test]
async fn no_secret_is_in_any_answer() {
    let rig = Rig::new().await;
    let dir = rig.key_dir("second");
    let change = json!({
        "name": "second", "backend_type": "local", "key_dir": dir,
        "master_key": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI="
    });
    rig.ok("POST", "/kms/reconfigure", change).await;
    for path in ["/kms/config", "/kms/status", "/kms/backends"] {
        let text = rig.call("GET", path, Value::Null).await.text;
        assert!(text.contains("second"), "{path}: {text}");
        assert!(!text.contains("c2VjcmV0"), "{path}: {text}");
    }
    let records = serde_json::to_string(&rig.records().await).unwrap();
    assert!(records.contains("master_key") && !records.contains("c2VjcmV0"));
}

#[tokio::test]
async fn a_sealed_service_refuses_uses_and_changes_until_it_is_unsealed() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"data").await;
    assert_eq!(rig.ok("POST", "/kms/seal", json!({})).await["status"], "Sealed");
    rig.refused("POST", "/kms/keys", json!({"name": "late"}), 409, "KmsSealed").await;
    rig.refused("POST", "/kms/keys/rotate", json!({"key_id": "alpha"}), 409, "KmsSealed").await;
    rig.refused("POST", "/kms/generate-data-key", json!({"key_id": "alpha"}), 409, "KmsSealed").await;
    assert!(rig.get("a").await.is_err());
    assert_eq!(rig.ok("GET", "/kms/keys/alpha", Value::Null).await["key_metadata"]["key_id"], "alpha");
    assert_eq!(rig.ok("POST", "/kms/unseal", json!({})).await["status"], "Running");
    assert_eq!(rig.get("a").await.unwrap(), b"data");
}

#[tokio::test]
async fn the_cache_is_cleared_with_an_empty_answer() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"data").await;
    rig.get("a").await.unwrap();
    let entries = |status: &Value| status["config_summary"]["cache_summary"]["entries"].as_u64().unwrap();
    assert_eq!(entries(&rig.ok("GET", "/kms/status", Value::Null).await), 1);
    let answered = rig.call("POST", "/kms/clear-cache", Value::Null).await;
    assert_eq!((answered.status, answered.text.as_str()), (204, ""));
    assert_eq!(entries(&rig.ok("GET", "/kms/status", Value::Null).await), 0);
}

#[tokio::test]
async fn a_stopped_service_is_unavailable_and_says_how_to_start_it() {
    let rig = Rig::new().await;
    rig.ok("POST", "/kms/stop", Value::Null).await;
    let answered = rig.call("POST", "/kms/generate-data-key", json!({"key_id": "alpha"})).await;
    assert_eq!((answered.status, answered.json["code"].as_str(), answered.retry_after), (503, Some("KmsUnavailable"), true));
    assert!(answered.text.contains("/kms/start"), "{}", answered.text);
}

#[tokio::test]
async fn what_is_no_call_is_json_too() {
    let rig = Rig::new().await;
    rig.refused("GET", "/kms/nothing", Value::Null, 404, "NotFound").await;
    rig.refused("GET", "/rustfs/admin/v3/info", Value::Null, 404, "NotFound").await;
    rig.refused("PUT", "/kms/status", Value::Null, 405, "MethodNotAllowed").await;
    rig.refused("POST", "/kms/stop", json!({"now": true}), 400, "InvalidRequest").await;
    let message = rig.refused("GET", "/kms/status?verbose=1", Value::Null, 400, "InvalidRequest").await;
    assert!(message.contains("verbose"), "{message}");
}
