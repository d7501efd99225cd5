//! When providers are asked for their keys, and how often.
#![allow(clippy::unwrap_used)]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{advance, sleep};

use super::*;
use crate::jwt::testing::{Signer, published};

const ISSUER: &str = "https://idp.example.org";
const AWAY: TokenError = TokenError::Unreachable("it does not answer");

/// A provider that publishes what a test tells it to, and counts how often it is asked.
#[derive(Default)]
struct Provider {
    published: Mutex<Option<Vec<Value>>>,
    asked: AtomicUsize,
    takes: Mutex<Duration>,
}

#[async_trait]
impl Source for Provider {
    async fn fetch(&self, _: &str) -> Result<KeySet, TokenError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let takes = *lock(&self.takes);
        sleep(takes).await;
        let keys = lock(&self.published).clone().ok_or(AWAY)?;
        Ok(KeySet::parse(&published(&keys)).unwrap())
    }
}

struct Test {
    provider: Arc<Provider>,
    keys: Arc<Keys>,
    key: Value,
}

impl Test {
    fn new() -> Self {
        let provider = Arc::new(Provider::default());
        let key = Signer::ed25519().jwk("");
        let keys = Arc::new(Keys::new(Arc::clone(&provider) as _));
        let test = Self { provider, keys, key };
        test.publish(&["1"]);
        test
    }

    fn publish(&self, ids: &[&str]) {
        let with_id = |id: &&str| {
            let mut key = self.key.clone();
            key["kid"] = json!(id);
            key
        };
        *lock(&self.provider.published) = Some(ids.iter().map(with_id).collect());
    }

    fn go_away(&self) {
        *lock(&self.provider.published) = None;
    }

    async fn of(&self, id: &str) -> Result<(), TokenError> {
        self.keys.of("0", ISSUER, &header(id)).await.map(drop)
    }

    fn asked(&self) -> usize {
        self.provider.asked.load(Ordering::SeqCst)
    }
}

fn header(id: &str) -> Header {
    let token = Signer::ed25519().token(&json!({"alg": "EdDSA", "kid": id}), "{}");
    crate::Token::read(&token).unwrap().header().clone()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_tokens_at_once_ask_the_provider_once() {
    let test = Arc::new(Test::new());
    *lock(&test.provider.takes) = Duration::from_secs(1);
    let all: Vec<_> = (0..1000)
        .map(|_| {
            tokio::spawn({
                let test = Arc::clone(&test);
                async move { test.of("1").await }
            })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(test.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_asks_the_provider_once_in_ten_seconds() {
    let test = Test::new();
    for round in 1..=3 {
        for number in 0..500 {
            assert_eq!(test.of(&format!("unknown-{round}-{number}")).await, Err(TokenError::UnknownKey));
            assert_eq!(test.of("1").await, Ok(()), "the known key goes on working");
        }
        assert_eq!(test.asked(), round);
        advance(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_one_that_was_taken_back_is_forgotten() {
    let test = Test::new();
    assert_eq!(test.of("1").await, Ok(()));
    advance(Duration::from_secs(10)).await;
    test.publish(&["2"]);
    assert_eq!(test.of("2").await, Ok(()));
    assert_eq!((test.of("1").await, test.asked()), (Err(TokenError::UnknownKey), 2));
    advance(Duration::from_secs(10)).await;
    assert_eq!((test.of("2").await, test.asked()), (Ok(()), 2), "fresh keys are not asked for again");
    advance(Duration::from_mins(5)).await;
    test.publish(&["3"]);
    assert_eq!((test.of("2").await, test.asked()), (Ok(()), 3), "the one that asked has the keys that were good when it came");
    assert_eq!(test.of("2").await, Err(TokenError::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn known_keys_outlast_a_provider_that_is_away_by_an_hour() {
    let test = Test::new();
    assert_eq!(test.of("1").await, Ok(()));
    test.go_away();
    for _ in 0..59 {
        advance(Duration::from_mins(1)).await;
        assert_eq!(test.of("1").await, Ok(()));
    }
    advance(Duration::from_mins(1)).await;
    assert_eq!(test.of("1").await, Err(AWAY));
    let asked = test.asked();
    assert_eq!((test.of("1").await, test.asked()), (Err(AWAY), asked), "it is not asked again at once");
    test.publish(&["1"]);
    advance(Duration::from_secs(10)).await;
    assert_eq!(test.of("1").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_takes_nobody_the_answer() {
    let test = Arc::new(Test::new());
    *lock(&test.provider.takes) = Duration::from_secs(2);
    let gone = tokio::spawn({
        let test = Arc::clone(&test);
        async move { test.of("1").await }
    });
    sleep(Duration::from_secs(1)).await;
    gone.abort();
    assert_eq!((test.of("1").await, test.asked()), (Ok(()), 1));
}

#[tokio::test(start_paused = true)]
async fn while_one_request_asks_for_newer_keys_no_other_waits() {
    let test = Arc::new(Test::new());
    assert_eq!(test.of("1").await, Ok(()));
    advance(Duration::from_mins(6)).await;
    *lock(&test.provider.takes) = Duration::from_secs(4);
    let slow = tokio::spawn({
        let test = Arc::clone(&test);
        async move { test.of("1").await }
    });
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    assert_eq!((test.of("1").await, begun.elapsed()), (Ok(()), Duration::ZERO));
    assert_eq!((slow.await.unwrap(), test.asked()), (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_bounded_and_accounts_do_not_share_it() {
    let test = Test::new();
    for number in 0..MAX_KNOWN + 10 {
        advance(Duration::from_millis(1)).await;
        assert!(test.keys.of("0", &format!("https://{number}.example.org"), &header("1")).await.is_ok());
    }
    assert_eq!(lock(&test.keys.all).entries.len(), MAX_KNOWN);
    let asked = test.asked();
    assert!(test.keys.of("1", "https://1030.example.org", &header("1")).await.is_ok());
    assert_eq!(test.asked(), asked + 1);
}
