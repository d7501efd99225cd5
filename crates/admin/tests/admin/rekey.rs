//! Re-key jobs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Rig, user};

/// The job once it has ended.
pub(crate) async fn ended(rig: &Rig, job_id: &str) -> Value {
    for _ in 0..2000 {
        let job = rig.ok("GET", &format!("/kms/rekey/{job_id}"), Value::Null).await;
        if job["state"] != "Running" {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the job did not end");
}

#[tokio::test]
async fn a_job_moves_objects_to_another_key() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"12345").await;
    rig.put("b", Some("alpha"), b"123").await;
    rig.put("c", Some("beta"), b"1").await;
    let scope = json!({"bucket": "photos", "from_key": "alpha", "to_key": "beta"});
    let dry = rig.call("POST", "/kms/rekey", json!({"bucket": "photos", "from_key": "alpha", "to_key": "beta", "dry_run": true})).await;
    assert_eq!(dry.status, 202);
    let dry = ended(&rig, dry.json["job_id"].as_str().unwrap()).await;
    assert_eq!((&dry["state"], &dry["done"]), (&json!("Completed"), &json!(2)));
    assert_eq!(rig.ok("GET", "/kms/keys/alpha/usage", Value::Null).await["objects"], 2);

    let started = rig.call("POST", "/kms/rekey", scope).await;
    assert_eq!(started.status, 202);
    let job_id = started.json["job_id"].as_str().unwrap().to_owned();
    let job = ended(&rig, &job_id).await;
    assert_eq!((&job["state"], &job["done"], &job["failed"], &job["remaining"]), (&json!("Completed"), &json!(2), &json!(0), &json!(0)));
    assert_eq!((&job["who"], &job["bytes"], &job["request"]["to_key"]), (&json!("root"), &json!(8), &json!("beta")));
    assert_eq!(rig.ok("GET", "/kms/keys/alpha/usage", Value::Null).await["objects"], 0);
    assert_eq!(rig.ok("GET", "/kms/keys/beta/usage", Value::Null).await["objects"], 3);
    assert_eq!(rig.get("a").await.unwrap(), b"12345");

    let jobs = rig.ok("GET", "/kms/rekey", Value::Null).await;
    assert_eq!(jobs["jobs"][0], job);
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(rig.ok("GET", &format!("/kms/rekey?job_id={job_id}"), Value::Null).await, job);
}

#[tokio::test]
async fn a_job_is_cancelled_by_query_body_or_path() {
    let rig = Rig::new().await;
    for number in 0..20 {
        rig.put(&format!("a{number}"), Some("alpha"), b"1").await;
    }
    for way in 0..3 {
        let started = rig.call("POST", "/kms/rekey", json!({"to_key": "beta", "max_objects_per_second": 1})).await;
        let id = started.json["job_id"].as_str().unwrap().to_owned();
        let cancelled = match way {
            0 => rig.ok("DELETE", &format!("/kms/rekey?job_id={id}"), Value::Null).await,
            1 => rig.ok("DELETE", "/kms/rekey", json!({"job_id": id})).await,
            _ => rig.ok("DELETE", &format!("/kms/rekey/{id}"), Value::Null).await,
        };
        assert_eq!((&cancelled["state"], &cancelled["job_id"]), (&json!("Cancelled"), &json!(id)));
    }
}

#[tokio::test]
async fn what_makes_no_job_is_refused() {
    let rig = Rig::new().await;
    rig.refused("GET", "/kms/rekey/00000000000000000000000000000000", Value::Null, 404, "NoSuchJob").await;
    rig.refused("DELETE", "/kms/rekey?job_id=zz", Value::Null, 404, "NoSuchJob").await;
    rig.refused("DELETE", "/kms/rekey", json!({}), 400, "InvalidRequest").await;
    rig.refused("POST", "/kms/rekey", json!({"bucket": "nowhere"}), 404, "NotFound").await;
    rig.refused("POST", "/kms/rekey", json!({"to_key": "missing"}), 404, "NotFound").await;
    rig.refused("POST", "/kms/rekey", json!({"mode": "SSE-C"}), 400, "InvalidRequest").await;
    let message = rig.refused("POST", "/kms/rekey", json!({"tokey": "beta"}), 400, "InvalidRequest").await;
    assert!(message.contains("tokey"), "{message}");
}

#[tokio::test]
async fn a_denied_key_is_denied_to_the_jobs_of_every_call() {
    let rig = Rig::new().await;
    rig.put("secret", Some("alpha"), b"secret").await;
    rig.put("open", Some("beta"), b"open").await;
    rig.ok("POST", "/kms/keys", json!({"name": "gamma"})).await;
    let alice = user(&json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:::key/alpha"}
    ]}));
    rig.people.admit(&alice);
    let yaml = "keyrotate:\n  apiVersion: v1\n  bucket: photos\n  encryption:\n    type: sse-kms\n    key: beta\n".to_owned();
    let calls = [
        ("/kms/rekey", json!({"to_key": "gamma"}).to_string(), "job_id", 1),
        ("/rustfs/admin/v3/kms/rekey", json!({"bucket": "photos", "to_key": "beta"}).to_string(), "job_id", 1),
        ("/minio/admin/v3/start-job", yaml, "id", 0),
    ];
    for (path, body, id, done) in calls {
        let started = rig.send("POST", path, body, alice.clone()).await;
        assert!(matches!(started.status, 200 | 202), "{path}: {started:?}");
        let job = ended(&rig, started.json[id].as_str().unwrap()).await;
        assert_eq!((&job["state"], &job["who"]), (&json!("CompletedWithErrors"), &json!("alice")), "{path}: {job}");
        assert_eq!((&job["done"], &job["failed"]), (&json!(done), &json!(1)), "{path}: {job}");
        let reason = "The identity alice is not permitted to perform kms:Decrypt on the KMS key alpha.";
        assert_eq!((&job["failures"][0]["key"], &job["failures"][0]["reason"]), (&json!("secret"), &json!(reason)), "{path}");
        assert_eq!(rig.ok("GET", "/kms/keys/alpha/usage", Value::Null).await["objects"], 1, "{path}");
    }
    assert_eq!(rig.get("open").await.unwrap(), b"open");
}
