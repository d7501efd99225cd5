//! What the unmodified `mc` sends.

use serde_json::{Value, json};

use crate::rig::{Rig, allowing, root, user};

const JOB: &str = "keyrotate:\n  apiVersion: v1\n  bucket: photos\n  encryption:\n    type: sse-kms\n    key: beta\n  flags:\n    filter:\n      kmskey: alpha\n";

#[tokio::test]
async fn mc_admin_kms_key_creates_lists_and_tests_keys() {
    let rig = Rig::new().await;
    let created = rig.call("POST", "/minio/kms/v1/key/create?key-id=mc-key", Value::Null).await;
    assert_eq!((created.status, created.text.as_str()), (200, ""));
    rig.refused("POST", "/minio/kms/v1/key/create?key-id=mc-key", Value::Null, 409, "kms:KeyAlreadyExists").await;
    rig.refused("POST", "/minio/kms/v1/key/create?key-id=", Value::Null, 400, "InvalidRequest").await;

    let listed = rig.ok("GET", "/minio/kms/v1/key/list?pattern=%2A", Value::Null).await;
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["alpha", "beta", "default", "mc-key"], "the store's own keys are not among them");
    assert!(listed[0]["createdAt"].as_str().unwrap().ends_with('Z') && listed[0]["createdBy"].is_string());
    let some = rig.ok("GET", "/minio/kms/v1/key/list?pattern=mc%2A", Value::Null).await;
    assert_eq!(some.as_array().unwrap().len(), 1);

    assert_eq!(rig.ok("GET", "/minio/kms/v1/key/status?key-id=alpha", Value::Null).await, json!({"key-id": "alpha"}));
    assert_eq!(rig.ok("GET", "/minio/kms/v1/key/status?key-id=", Value::Null).await, json!({"key-id": "default"}));
    rig.ok("POST", "/kms/keys/disable", json!({"key_id": "alpha"})).await;
    let status = rig.ok("GET", "/minio/kms/v1/key/status?key-id=alpha", Value::Null).await;
    assert!(status["encryption-error"].as_str().unwrap().contains("disabled"), "{status}");

    let status = rig.ok("GET", "/minio/kms/v1/status", Value::Null).await;
    assert_eq!((&status["name"], &status["default-key-id"]), (&json!("local"), &json!("default")));
    assert_eq!(status["endpoints"], json!({"local": "online"}));
    assert_eq!(status["state"]["KeyStoreReachable"], true);
}

#[tokio::test]
async fn mc_batch_rotates_keys() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"1").await;
    rig.put("b", Some("beta"), b"1").await;
    let started = rig.send("POST", "/minio/admin/v3/start-job", JOB.to_owned(), root()).await;
    assert_eq!((started.status, &started.json["type"], &started.json["user"]), (200, &json!("keyrotate"), &json!("root")));
    let id = started.json["id"].as_str().unwrap().to_owned();

    // The stream ends by itself once the job has ended.
    let watched =
        rig.call("GET", &format!("/minio/admin/v3/metrics?by-jobID={id}&disks=&hosts=&interval=1s&n=0&types=8"), Value::Null).await;
    let samples: Vec<Value> = serde_json::Deserializer::from_str(&watched.text).into_iter().map(Result::unwrap).collect();
    let last = samples.last().unwrap();
    assert_eq!(last["final"], true);
    let metric = &last["aggregated"]["batchJobs"]["Jobs"][&id];
    assert_eq!((&metric["complete"], &metric["failed"], &metric["jobType"]), (&json!(true), &json!(false), &json!("keyrotate")));
    assert_eq!((&metric["rotation"]["objects"], &metric["rotation"]["objectsFailed"]), (&json!(1), &json!(0)));
    assert!(samples.iter().rev().skip(1).all(|sample| sample["final"] == false));

    let status = rig.ok("GET", &format!("/minio/admin/v3/status-job?jobId={id}"), Value::Null).await;
    assert_eq!((&status["LastMetric"]["jobID"], &status["LastMetric"]["status"]), (&json!(id), &json!("completed")));
    let described = rig.call("GET", &format!("/minio/admin/v3/describe-job?jobId={id}"), Value::Null).await;
    assert!(described.text.contains("bucket: \"photos\"") && described.text.contains("key: \"beta\""), "{}", described.text);
    assert_eq!(rig.ok("GET", "/minio/admin/v3/list-jobs?jobType=", Value::Null).await, json!({"jobs": []}), "none is running");
    assert_eq!(rig.ok("GET", "/kms/keys/alpha/usage", Value::Null).await["objects"], 0);
}

#[tokio::test]
async fn a_running_job_is_listed_and_cancelled() {
    let rig = Rig::new().await;
    for number in 0..20 {
        rig.put(&format!("a{number}"), Some("alpha"), b"1").await;
    }
    let job = rig.ok("POST", "/kms/rekey", json!({"bucket": "photos", "to_key": "beta", "max_objects_per_second": 1})).await;
    let id = job["job_id"].as_str().unwrap();
    for (filter, count) in [("jobType=", 1), ("jobType=keyrotate&bucket=photos", 1), ("jobType=expire", 0), ("jobType=&bucket=other", 0)] {
        let jobs = rig.ok("GET", &format!("/minio/admin/v3/list-jobs?{filter}"), Value::Null).await;
        assert_eq!(jobs["jobs"].as_array().unwrap().len(), count, "{filter}");
    }
    let watched = rig.call("GET", &format!("/minio/admin/v3/metrics?by-jobID={id}&interval=100ms&n=2&types=8"), Value::Null).await;
    let samples: Vec<Value> = serde_json::Deserializer::from_str(&watched.text).into_iter().map(Result::unwrap).collect();
    assert_eq!(samples.iter().map(|sample| sample["final"].as_bool().unwrap()).collect::<Vec<_>>(), [false, true]);
    let cancelled = rig.call("DELETE", &format!("/minio/admin/v3/cancel-job?id={id}"), Value::Null).await;
    assert_eq!((cancelled.status, cancelled.text.as_str()), (204, ""));
    let status = rig.ok("GET", &format!("/minio/admin/v3/status-job?jobId={id}"), Value::Null).await;
    assert_eq!((&status["LastMetric"]["failed"], &status["LastMetric"]["status"]), (&json!(true), &json!("canceled")));
}

#[tokio::test]
async fn jobs_that_are_none_have_the_codes_that_mc_looks_for() {
    let rig = Rig::new().await;
    for (method, path) in [
        ("GET", "describe-job?jobId=00000000000000000000000000000000"),
        ("GET", "status-job?jobId=x"),
        ("GET", "metrics?by-jobID=x&types=8"),
        ("DELETE", "cancel-job?id=x"),
    ] {
        rig.refused(method, &format!("/minio/admin/v3/{path}"), Value::Null, 404, "XMinioAdminNoSuchJob").await;
    }
    let answered = rig.send("POST", "/minio/admin/v3/start-job", JOB.replace("kmskey", "newerThan"), root()).await;
    assert_eq!((answered.status, answered.json["code"].as_str()), (400, Some("InvalidRequest")));
    assert!(answered.text.contains("newerThan"), "{}", answered.text);
}

#[tokio::test]
async fn the_test_of_a_key_needs_the_right_to_use_it_and_is_recorded_with_its_id() {
    let rig = Rig::new().await;
    let test = async |key_id: &str, actions: &[&str]| {
        let path = format!("/minio/kms/v1/key/status?key-id={key_id}");
        rig.send("GET", &path, String::new(), user(&allowing(actions))).await.status
    };
    let uses = ["kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"];
    for left_out in 0..uses.len() {
        let fewer: Vec<_> = uses.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, action)| *action).collect();
        assert_eq!(test("alpha", &fewer).await, 403, "{fewer:?}");
    }
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": uses, "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:GenerateDataKey", "Resource": "arn:aws:kms:::key/default"}
    ]});
    let denied = rig.send("GET", "/minio/kms/v1/key/status?key-id=", String::new(), user(&policy)).await;
    assert_eq!(denied.status, 403, "the default key is the one that is used");
    assert_eq!(rig.record("TestKey").await["key_id"], "default");
    for (given, key_id) in [("", "default"), ("arn:aws:kms:eu:1:key/beta", "beta")] {
        assert_eq!(test(given, &uses).await, 200);
        let record = rig.record("TestKey").await;
        assert_eq!((&record["key_id"], &record["outcome"]), (&json!(key_id), &json!("ok")));
    }
    rig.refused("GET", "/minio/kms/v1/key/status?key-id=arn:aws:kms:eu:1:key/strongroom-store", Value::Null, 404, "NotFound").await;
}
