//! Credentials that are not in the configuration. Each case has a process of its own, for the environment is the process's.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use common::{NAME, account, backend, new_key};
use strongroom_kms::{KeyService, KmsError};
use strongroom_kms_aws::AwsKms;
use strongroom_testbed::aws::{LocalStack, Moto, REGION};
use strongroom_testbed::process::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

static LOCALSTACK: LazyLock<LocalStack> = LazyLock::new(LocalStack::start);

/// This test again in a process whose environment is `environment` alone; what it says of the key, line by line.
fn child(url: &str, key_id: &str, environment: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_key_is_usable_in_this_environment", "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("URL", url)
        .env("KEY_ID", key_id)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(child: &mut Child) -> Vec<String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said = lines.filter_map(|line| line.split_once("SAID ").map(|(_, said)| said.to_owned())).collect();
    child.wait().unwrap();
    said
}

#[tokio::test]
#[ignore = "the other tests of this file run it, in environments of their own"]
async fn the_key_is_usable_in_this_environment() {
    let mut config = serde_json::json!({ "region": REGION, "endpoint": std::env::var("URL").unwrap() });
    if let Ok(profile) = std::env::var("PROFILE") {
        config["profile"] = profile.into();
    }
    let kms = AwsKms::new(NAME, serde_json::from_value(config).unwrap()).unwrap();
    let key_id = std::env::var("KEY_ID").unwrap();
    let calls: u32 = std::env::var("CALLS").map_or(1, |calls| calls.parse().unwrap());
    for _ in 0..calls {
        match kms.check_usable(&key_id).await {
            Ok(_) => println!("SAID usable"),
            Err(KmsError::Denied(why)) => println!("SAID denied: {why}"),
            Err(error) => println!("SAID {error}"),
        }
        tokio::time::sleep(Duration::from_millis(if calls > 1 { 100 } else { 0 })).await;
    }
}

/// A key in an account that only its credentials reach: to LocalStack the access key's id is the account.
async fn account_and_key() -> (String, String) {
    let account = account();
    let key_id = new_key(&backend(&LOCALSTACK.url, &account, "secret")).await;
    (account, key_id)
}

async fn said_with(key_id: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let mut child = child(&LOCALSTACK.url, key_id, environment);
    tokio::task::spawn_blocking(move || said(&mut child)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_has_credentials() {
    let (account, key_id) = account_and_key().await;
    assert_eq!(said_with(&key_id, &[("AWS_ACCESS_KEY_ID", &account), ("AWS_SECRET_ACCESS_KEY", "secret")]).await, ["usable"]);
    let other = [("AWS_ACCESS_KEY_ID", "999999999999"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    assert_eq!(said_with(&key_id, &other).await, [format!("the key {key_id} does not exist in the KMS")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_has_credentials() {
    let (account, key_id) = account_and_key().await;
    let url = format!("{}/credentials", metadata_service(account).await);
    assert_eq!(said_with(&key_id, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]).await, ["usable"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_has_credentials() {
    let (account, key_id) = account_and_key().await;
    let url = metadata_service(account).await;
    assert_eq!(said_with(&key_id, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]).await, ["usable"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credentials_at_all_are_denied_by_that_reason() {
    let (_, key_id) = account_and_key().await;
    let said = said_with(&key_id, &[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    assert_eq!(said, ["denied: kms:DescribeKey was refused (no AWS credentials were found)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metadata_service_that_is_down_is_unavailable() {
    let (_, key_id) = account_and_key().await;
    let url = format!("http://127.0.0.1:{}/credentials", free_port());
    let said = said_with(&key_id, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]).await;
    assert!(said.len() == 1 && said[0].contains("is unavailable"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profiles_key_that_is_replaced_is_taken_up_without_a_restart() {
    let moto = Moto::start();
    let key_id = new_key(&backend(&moto.url, &moto.admin.id, &moto.admin.secret)).await;
    let (old, new) = (moto.user("old", &["kms:DescribeKey"]), moto.user("new", &["kms:DescribeKey"]));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    let write = |id: &str, secret: &str| {
        std::fs::write(&file, format!("[store]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")).unwrap();
    };
    write(&old.id, &old.secret);
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()), ("PROFILE", "store"), ("CALLS", "100")];
    let mut child = child(&moto.url, &key_id, &environment);
    std::thread::sleep(Duration::from_secs(1));
    write(&new.id, &new.secret);
    moto.revoke("old", &old);
    let said = tokio::task::spawn_blocking(move || said(&mut child)).await.unwrap();
    assert_eq!((said.first().unwrap().as_str(), said.last().unwrap().as_str()), ("usable", "usable"), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("denied")), "the old key was refused in between: {said:?}");
}

/// Answers as the metadata services of containers and of instances do, with credentials of this account.
async fn metadata_service(account: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let credentials = serde_json::json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z",
        "AccessKeyId": account, "SecretAccessKey": "secret", "Token": "token", "AccountId": account,
    });
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let len = client.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..len]).into_owned();
            let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
                "/latest/api/token" => (200, "token".to_owned()),
                "/latest/meta-data/iam/security-credentials/" => (200, "role".to_owned()),
                "/credentials" | "/latest/meta-data/iam/security-credentials/role" => (200, credentials.to_string()),
                _ => (404, String::new()),
            };
            let head = format!("HTTP/1.1 {status} Answer\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nConnection: close\r\n");
            let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = client.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    url
}
