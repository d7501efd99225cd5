//! Random lives of keys against a model that is plain enough to be right by reading.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Home, context};
use proptest::prelude::*;
use strongroom_kms::{CacheConfig, CachedKms, DataKey, DataKeySpec, KeyMetadata, KeyState, Kms, KmsError, MayGo, NewKey};
use time::{Duration, OffsetDateTime};

#[derive(Clone, Debug)]
enum Step {
    Create(&'static str),
    Enable(&'static str),
    Disable(&'static str),
    Seal(&'static str),
    Unseal(&'static str),
    Rotate(&'static str),
    Schedule(&'static str, u32),
    Cancel(&'static str),
    Delete(&'static str),
    /// Reaps as if this many days had passed.
    Reap(u32),
    SealService,
    UnsealService,
    Generate(&'static str),
    /// Rewraps the nth data key, counted around.
    Rewrap(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::sample::select(vec!["a", "b"]);
    prop_oneof![
        3 => key.clone().prop_map(Step::Create),
        2 => key.clone().prop_map(Step::Enable),
        2 => key.clone().prop_map(Step::Disable),
        2 => key.clone().prop_map(Step::Seal),
        2 => key.clone().prop_map(Step::Unseal),
        3 => key.clone().prop_map(Step::Rotate),
        2 => (key.clone(), 6_u32..32).prop_map(|(key, days)| Step::Schedule(key, days)),
        2 => key.clone().prop_map(Step::Cancel),
        1 => key.clone().prop_map(Step::Delete),
        1 => (0_u32..40).prop_map(Step::Reap),
        1 => Just(Step::SealService),
        2 => Just(Step::UnsealService),
        6 => key.prop_map(Step::Generate),
        2 => any::<usize>().prop_map(Step::Rewrap),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct Model {
    sealed: bool,
    keys: BTreeMap<&'static str, ModelKey>,
}

struct ModelKey {
    versions: u32,
    disabled: bool,
    sealed: bool,
    window_days: Option<u32>,
    erased: bool,
}

/// What a call must end in: nothing, or a situation by its name.
type Outcome = Result<(), &'static str>;

impl Model {
    /// Why a key cannot be used.
    fn usable(&self, key: &str) -> Outcome {
        if self.sealed {
            return Err("ServiceSealed");
        }
        self.keys.get(key).ok_or("KeyNotFound")?.usable()
    }

    fn change(&mut self, key: &str, apply: impl FnOnce(&mut ModelKey) -> Outcome) -> Outcome {
        if self.sealed {
            return Err("ServiceSealed");
        }
        apply(self.keys.get_mut(key).ok_or("KeyNotFound")?)
    }

    fn create(&mut self, key: &'static str) -> Outcome {
        if self.sealed {
            return Err("ServiceSealed");
        }
        if self.keys.contains_key(key) {
            return Err("KeyExists");
        }
        self.keys.insert(key, ModelKey { versions: 1, disabled: false, sealed: false, window_days: None, erased: false });
        Ok(())
    }

    fn reap(&mut self, days: u32) -> Result<Vec<String>, &'static str> {
        if self.sealed {
            return Err("ServiceSealed");
        }
        let due = self.keys.iter_mut().filter(|(_, key)| !key.erased && key.window_days.is_some_and(|window| window <= days));
        Ok(due
            .map(|(key_id, key)| {
                key.erased = true;
                (*key_id).to_owned()
            })
            .collect())
    }
}

impl ModelKey {
    fn usable(&self) -> Outcome {
        match (self.erased, self.window_days, self.sealed, self.disabled) {
            (true, ..) => Err("KeyErased"),
            (_, Some(_), ..) => Err("KeyPendingDeletion"),
            (_, _, true, _) => Err("KeySealed"),
            (_, _, _, true) => Err("KeyDisabled"),
            _ => Ok(()),
        }
    }

    fn stays(&self) -> Outcome {
        self.usable().or_else(|why| if ["KeyErased", "KeyPendingDeletion"].contains(&why) { Err(why) } else { Ok(()) })
    }

    fn set(&mut self, apply: impl FnOnce(&mut Self)) -> Outcome {
        self.stays()?;
        apply(self);
        Ok(())
    }

    fn schedule(&mut self, days: u32) -> Outcome {
        self.stays()?;
        if !(7..=30).contains(&days) {
            return Err("InvalidArgument");
        }
        self.window_days = Some(days);
        Ok(())
    }

    fn cancel(&mut self) -> Outcome {
        match (self.erased, self.window_days.take()) {
            (true, _) => Err("KeyErased"),
            (false, None) => Err("InvalidArgument"),
            (false, Some(_)) => Ok(()),
        }
    }

    fn erase(&mut self) -> Outcome {
        if std::mem::replace(&mut self.erased, true) { Err("KeyErased") } else { Ok(()) }
    }
}

/// The real thing, beside the data keys it made.
struct Real {
    home: Home,
    cached: bool,
    kms: Option<Arc<dyn Kms>>,
    data_keys: Vec<DataKey>,
}

impl Real {
    async fn new(cached: bool) -> Self {
        let mut real = Self { home: Home::new(), cached, kms: None, data_keys: Vec::new() };
        real.restart().await;
        real
    }

    async fn restart(&mut self) {
        self.kms = None;
        let local = Arc::new(self.home.open().await);
        self.kms = Some(if self.cached { Arc::new(CachedKms::new(local, CacheConfig::default())) } else { local });
    }

    fn kms(&self) -> Arc<dyn Kms> {
        self.kms.clone().unwrap()
    }
}

async fn apply(real: &mut Real, model: &mut Model, step: &Step) {
    let kms = real.kms();
    let (got, expected) = match *step {
        Step::Create(key) => {
            let new = NewKey { name: Some(key.to_owned()), ..NewKey::default() };
            (outcome(kms.create_key(new).await), model.create(key))
        }
        Step::Enable(key) => (outcome(kms.enable_key(key).await), model.change(key, |k| k.set(|k| k.disabled = false))),
        Step::Disable(key) => (outcome(kms.disable_key(key).await), model.change(key, |k| k.set(|k| k.disabled = true))),
        Step::Seal(key) => (outcome(kms.seal_key(key).await), model.change(key, |k| k.set(|k| k.sealed = true))),
        Step::Unseal(key) => (outcome(kms.unseal_key(key).await), model.change(key, |k| k.set(|k| k.sealed = false))),
        Step::Rotate(key) => {
            let expected = model.usable(key).and_then(|()| model.change(key, |k| k.set(|k| k.versions += 1)));
            (outcome(kms.rotate_key(key).await), expected)
        }
        Step::Schedule(key, days) => (outcome(kms.schedule_deletion(key, days).await), model.change(key, |k| k.schedule(days))),
        Step::Cancel(key) => (outcome(kms.cancel_deletion(key).await), model.change(key, ModelKey::cancel)),
        Step::Delete(key) => (outcome(kms.delete_now(key, key).await), model.change(key, ModelKey::erase)),
        Step::Reap(days) => {
            let reaped = kms.reap_deleted(OffsetDateTime::now_utc() + Duration::days(days.into()), &MayGo::always()).await;
            let expected = model.reap(days);
            assert_eq!(reaped.as_ref().ok(), expected.as_ref().ok());
            (outcome(reaped), expected.map(drop))
        }
        Step::SealService => {
            model.sealed = true;
            (outcome(kms.seal_service().await), Ok(()))
        }
        Step::UnsealService => {
            model.sealed = false;
            (outcome(kms.unseal_service().await), Ok(()))
        }
        Step::Generate(key) => {
            let made = kms.generate_data_key(key, DataKeySpec::Aes256, &context("a")).await;
            if let Ok(made) = &made {
                assert_eq!(made.wrapped.key_version, model.keys[key].versions);
            }
            let got = made.map(|made| real.data_keys.push(made));
            (outcome(got), model.usable(key))
        }
        Step::Rewrap(nth) => rewrap(real, model, nth).await,
        Step::Restart => {
            drop(kms);
            real.restart().await;
            (Ok(()), Ok(()))
        }
    };
    assert_eq!(got, expected, "{step:?}");
}

async fn rewrap(real: &mut Real, model: &Model, nth: usize) -> (Outcome, Outcome) {
    let kms = real.kms();
    let count = real.data_keys.len().max(1);
    let Some(data_key) = real.data_keys.get_mut(nth % count) else { return (Ok(()), Ok(())) };
    let key_id = data_key.wrapped.key_id.clone();
    let moved = kms.rewrap_data_key(&data_key.wrapped, &context("a")).await.map(|wrapped| {
        assert_eq!(wrapped.key_version, model.keys[key_id.as_str()].versions);
        data_key.wrapped = wrapped;
    });
    (outcome(moved), model.usable(&key_id))
}

/// Everything that can be observed agrees with the model.
async fn check(real: &Real, model: &Model) {
    let kms = real.kms();
    for (key_id, key) in &model.keys {
        check_metadata(&kms.describe_key(key_id).await.unwrap(), key);
    }
    let alive: Vec<&str> = model.keys.iter().filter(|(_, key)| !key.erased).map(|(key_id, _)| *key_id).collect();
    let listed: Vec<String> = kms.list_keys(None, 10).await.unwrap().keys.into_iter().map(|key| key.key_id).collect();
    assert_eq!(listed, alive);
    for data_key in &real.data_keys {
        let opened = kms.unwrap_data_key(&data_key.wrapped, &context("a")).await;
        assert!(opened.as_ref().map_or(true, |plaintext| *plaintext == data_key.plaintext));
        assert_eq!(outcome(opened), model.usable(&data_key.wrapped.key_id));
    }
}

fn check_metadata(metadata: &KeyMetadata, key: &ModelKey) {
    let state = match metadata.state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err("KeyDisabled"),
        KeyState::Sealed => Err("KeySealed"),
        KeyState::PendingDeletion { .. } => Err("KeyPendingDeletion"),
        KeyState::Erased => Err("KeyErased"),
    };
    assert_eq!(state, key.usable());
    assert_eq!(metadata.current_version, key.versions);
    assert!(metadata.versions.iter().map(|version| version.version).eq(1..=key.versions));
}

fn outcome<T>(result: Result<T, KmsError>) -> Outcome {
    match result {
        Ok(_) => Ok(()),
        Err(KmsError::KeyNotFound(_)) => Err("KeyNotFound"),
        Err(KmsError::KeyErased(_)) => Err("KeyErased"),
        Err(KmsError::KeyDisabled(_)) => Err("KeyDisabled"),
        Err(KmsError::KeyPendingDeletion(_)) => Err("KeyPendingDeletion"),
        Err(KmsError::KeySealed(_)) => Err("KeySealed"),
        Err(KmsError::ServiceSealed) => Err("ServiceSealed"),
        Err(KmsError::KeyExists(_)) => Err("KeyExists"),
        Err(KmsError::InvalidArgument(_)) => Err("InvalidArgument"),
        Err(other) => panic!("no step may end in: {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_live_as_the_model_says(cached: bool, steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut real, mut model) = (Real::new(cached).await, Model::default());
            for step in &steps {
                apply(&mut real, &mut model, step).await;
                check(&real, &model).await;
            }
        });
    }
}
