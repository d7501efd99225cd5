//! What the SDK logs, at its most talkative, against what must not be seen.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{NAME, account, config, context, new_key};
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, NewKey};
use strongroom_kms_aws::AwsKms;
use strongroom_testbed::aws::LocalStack;
use tracing_subscriber::filter::LevelFilter;
use zeroize::Zeroizing;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_level_of_logging_shows_a_credential_a_data_key_or_imported_material() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(move || writer.clone()).init();

    let localstack = LocalStack::start();
    let mut config = config(&localstack.url, &account(), "SECRET-ACCESS-KEY-0123456789");
    config.session_token = Some(common::secret("SESSION-TOKEN-0123456789"));
    let kms = AwsKms::new(NAME, config).unwrap();
    let key_id = new_key(&kms).await;
    let context = context(&[("a", "b")]);
    let key = kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context).await.unwrap();
    let opened = kms.unwrap_data_key(&key.wrapped, &context).await.unwrap();
    assert!(opened == key.plaintext);
    let material = Zeroizing::new(b"IMPORTED-MATERIAL-OF-32-BYTES-01".to_vec());
    kms.import_key(NewKey::default(), material.clone()).await.unwrap();

    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("GenerateDataKey"), "the SDK logs its calls");
    for secret in [&key.plaintext, &material] {
        for form in [STANDARD.encode(secret), hex::encode(secret), format!("{:?}", secret.as_slice()).trim_matches(['[', ']']).to_owned()] {
            assert!(!log.contains(&form), "the log holds a key: {}", excerpt(&log, &form).replace(&form, "[the key]"));
        }
    }
    assert!(!log.contains("SECRET-ACCESS-KEY"), "the log holds the secret access key");
    assert!(!log.contains("SESSION-TOKEN"), "the log holds the session token: {}", excerpt(&log, "SESSION-TOKEN"));
}

fn excerpt<'a>(log: &'a str, what: &str) -> &'a str {
    log.lines().find(|line| line.contains(what)).unwrap_or_default()
}
