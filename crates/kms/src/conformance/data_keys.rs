//! Cases of [`KeyService`](crate::KeyService): what holds for every backend, whatever its lifecycle.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Backend, assert_error, context};
use crate::{DataKeySpec, EncryptionContext, WrappedKey};

/// An id no test backend has.
const NO_SUCH_KEY: &str = "conformance-no-such-key";

pub(super) async fn run(factory: &impl AsyncFn() -> Backend) {
    a_data_key_of_either_spec_opens_to_its_plaintext(&factory().await).await;
    a_usable_key_answers_with_its_canonical_id(&factory().await).await;
    no_two_data_keys_are_equal(&factory().await).await;
    another_context_is_rejected(&factory().await).await;
    no_byte_of_a_wrapped_key_can_be_altered(&factory().await).await;
    another_keys_wrapped_key_is_rejected(&factory().await).await;
    an_unknown_key_is_not_found(&factory().await).await;
    a_rewrapped_key_keeps_its_plaintext(&factory().await).await;
    many_callers_at_once_get_their_own_keys(factory().await).await;
}

async fn a_data_key_of_either_spec_opens_to_its_plaintext(backend: &Backend) {
    for spec in [DataKeySpec::Aes256, DataKeySpec::TwoAes256] {
        for context in [EncryptionContext::default(), context()] {
            let data_key = backend.service.generate_data_key(&backend.key_ids[0], spec, &context).await.expect("generate_data_key");
            assert_eq!(data_key.plaintext.len(), spec.len_bytes(), "a data key is as long as its spec says");
            assert_eq!(data_key.wrapped.backend, backend.service.backend(), "a wrapped key names its backend");
            assert_eq!(data_key.wrapped.key_id, backend.key_ids[0], "a wrapped key names its master key by the canonical id");
            assert!(data_key.wrapped.key_version >= 1, "versions count from 1");
            let hidden = !data_key.wrapped.ciphertext.windows(16).any(|window| data_key.plaintext.windows(16).any(|key| key == window));
            assert!(hidden, "a wrapped key does not hold its plaintext");
            let opened = backend.service.unwrap_data_key(&data_key.wrapped, &context).await.expect("unwrap_data_key");
            assert!(opened == data_key.plaintext, "a wrapped data key opens to the plaintext it was generated with");
        }
    }
}

async fn a_usable_key_answers_with_its_canonical_id(backend: &Backend) {
    for key_id in &backend.key_ids {
        assert_eq!(&backend.service.check_usable(key_id).await.expect("check_usable"), key_id);
    }
}

async fn no_two_data_keys_are_equal(backend: &Backend) {
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let data_key = backend.service.generate_data_key(&backend.key_ids[0], DataKeySpec::TwoAes256, &context()).await;
        let data_key = data_key.expect("generate_data_key");
        let (first, second) = data_key.plaintext.split_at(32);
        assert!(seen.insert(first.to_vec()) && seen.insert(second.to_vec()), "no two data keys are equal, nor the two halves of one");
        assert!(seen.insert(data_key.wrapped.ciphertext), "no two wrapped keys are equal");
    }
}

async fn another_context_is_rejected(backend: &Backend) {
    let data_key = backend.data_key().await;
    let change = |change: fn(&mut BTreeMap<String, String>)| {
        let mut pairs = context().0;
        change(&mut pairs);
        EncryptionContext(pairs)
    };
    for other in [
        EncryptionContext::default(),
        change(|pairs| drop(pairs.remove("object"))),
        change(|pairs| drop(pairs.insert("bucket".to_owned(), "photoz".to_owned()))),
        change(|pairs| drop(pairs.insert("more".to_owned(), String::new()))),
        change(|pairs| {
            let value = pairs.remove("bucket").expect("the context has a bucket");
            pairs.insert("bucke".to_owned(), format!("t{value}"));
        }),
    ] {
        let what = format!("unwrap_data_key under another context, {:?},", other.0);
        assert_error(backend.service.unwrap_data_key(&data_key.wrapped, &other).await, "Rejected", &what);
        assert_error(backend.service.rewrap_data_key(&data_key.wrapped, &other).await, "Rejected", &what);
    }
    backend.assert_opens(&data_key).await;
}

async fn no_byte_of_a_wrapped_key_can_be_altered(backend: &Backend) {
    let data_key = backend.data_key().await;
    let ciphertext = &data_key.wrapped.ciphertext;
    let flipped = (0..ciphertext.len()).map(|at| {
        let mut bytes = ciphertext.clone();
        bytes[at] ^= 1;
        (format!("with byte {at} altered"), bytes)
    });
    let cut = [0, 1, ciphertext.len() / 2, ciphertext.len() - 1].map(|len| (format!("cut to {len} bytes"), ciphertext[..len].to_vec()));
    let longer = [("with a byte more".to_owned(), [ciphertext, &[0][..]].concat())];
    for (defect, ciphertext) in flipped.chain(cut).chain(longer) {
        let wrapped = WrappedKey { ciphertext, ..data_key.wrapped.clone() };
        let answer = backend.service.unwrap_data_key(&wrapped, &context()).await;
        assert_error(answer, "Rejected", &format!("unwrap_data_key of a ciphertext {defect}"));
    }
    backend.assert_opens(&data_key).await;
}

async fn another_keys_wrapped_key_is_rejected(backend: &Backend) {
    let wrapped = WrappedKey { key_id: backend.key_ids[1].clone(), ..backend.data_key().await.wrapped };
    assert_error(backend.service.unwrap_data_key(&wrapped, &context()).await, "Rejected", "unwrap_data_key under another key's id");
}

async fn an_unknown_key_is_not_found(backend: &Backend) {
    let mut data_key = backend.data_key().await;
    NO_SUCH_KEY.clone_into(&mut data_key.wrapped.key_id);
    backend.assert_refused(&data_key, "KeyNotFound").await;
}

async fn a_rewrapped_key_keeps_its_plaintext(backend: &Backend) {
    let mut data_key = backend.data_key().await;
    let rewrapped = backend.service.rewrap_data_key(&data_key.wrapped, &context()).await.expect("rewrap_data_key");
    assert_eq!(rewrapped.key_id, data_key.wrapped.key_id, "rewrapping keeps the master key");
    data_key.wrapped = rewrapped;
    backend.assert_opens(&data_key).await;
}

async fn many_callers_at_once_get_their_own_keys(backend: Backend) {
    let data_key = Arc::new(backend.data_key().await);
    let mut callers = JoinSet::new();
    for caller in 0..16 {
        let (service, data_key) = (Arc::clone(&backend.service), Arc::clone(&data_key));
        let key_id = backend.key_ids[caller % 2].clone();
        callers.spawn(async move {
            let context = EncryptionContext([("caller".to_owned(), caller.to_string())].into());
            for _ in 0..4 {
                let own = service.generate_data_key(&key_id, DataKeySpec::Aes256, &context).await.expect("generate_data_key");
                let opened = service.unwrap_data_key(&own.wrapped, &context).await.expect("unwrap_data_key");
                assert!(opened == own.plaintext, "callers at once do not get each other's keys");
                let opened = service.unwrap_data_key(&data_key.wrapped, &super::context()).await.expect("unwrap_data_key");
                assert!(opened == data_key.plaintext, "callers at once may open the same key");
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.expect("no caller fails");
    }
}
