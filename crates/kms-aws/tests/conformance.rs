//! The conformance suite against LocalStack, which keeps the states of keys as AWS does, and what AWS adds.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, LazyLock};

use common::{account, backend, new_key};
use strongroom_kms::conformance::{Backend, run_all_choosing_ids};
use strongroom_testbed::aws::LocalStack;

static LOCALSTACK: LazyLock<LocalStack> = LazyLock::new(LocalStack::start);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_backend_conforms() {
    run_all_choosing_ids(async || {
        let kms = Arc::new(backend(&LOCALSTACK.url, &account(), "secret"));
        let key_ids = [new_key(&kms).await, new_key(&kms).await];
        Backend { service: kms.clone(), lifecycle: Some(kms), key_ids, keep: Box::new(()) }
    })
    .await;
}
