//! Changes of the service. Each is written before it is in force, and a failing one changes nothing.

use std::sync::Arc;

use strongroom_kms::{KeyService, KmsError, NewKey};
use tokio::sync::MutexGuard;

use super::closing::Close;
use super::core::{Core, Stored};
use super::document::Document;
use super::snapshot::Snapshot;
use super::stack::Stack;
use super::{Change, Configuration};
use crate::registry::LOCAL;

impl Core {
    /// Takes over what flags, environment and file ask for, if it is new, and starts the service if it was started or this asks for it.
    pub(super) async fn begin(self: &Arc<Self>, initial: Option<Configuration>) -> Result<(), KmsError> {
        let mut stored = self.changes.lock().await;
        let mut document = self.snapshot().document.clone();
        if initial.is_none() && document.initial.is_some() {
            // They asked for a service and no longer do: that was changed last, so it holds.
            document = Document { configuration: None, initial: None, started: false, ..document };
        }
        let taken = initial.filter(|initial| document.initial.as_ref() != Some(initial));
        let snapshot = match taken {
            None => self.set_up(document, false).await,
            Some(initial) => {
                let whole = initial.clone().over(document.configuration.as_ref())?;
                let document = Document { initial: Some(initial), started: true, ..document };
                self.set_up_first(&document, vec![whole]).await?
            }
        };
        self.ensure_default_key(&snapshot).await?;
        if snapshot.document.configuration.is_none() && stored.is_none() {
            self.show(snapshot);
            return Ok(());
        }
        self.install(&mut stored, snapshot).await
    }

    pub(super) async fn configure(self: Arc<Self>, change: Change) -> Result<(), KmsError> {
        let mut stored = self.alone()?;
        let document = self.snapshot().document.clone();
        check_unsealed(&document)?;
        if document.started {
            return Err(KmsError::Conflict("the KMS is running: POST /kms/reconfigure, or stop it first with POST /kms/stop".to_owned()));
        }
        let whole = Configuration::new(&change)?.over(document.configuration.as_ref())?;
        let ways = self.permitted(document.configuration.as_ref(), vec![whole], &change)?;
        let snapshot = self.closing.outruns(self.set_up_first(&document, ways)).await?;
        self.install(&mut stored, snapshot).await
    }

    pub(super) async fn reconfigure(self: Arc<Self>, change: Change) -> Result<(), KmsError> {
        let mut stored = self.alone()?;
        let before = self.snapshot();
        let configuration = before.configuration()?;
        check_unsealed(&before.document)?;
        let ways = self.permitted(Some(configuration), configuration.changed(&change)?, &change)?;
        let works = async {
            let snapshot = self.set_up_first(&before.document, ways).await?;
            if snapshot.is_running() {
                self.check_works(&before, &snapshot, &change).await?;
            }
            Ok(snapshot)
        };
        match self.closing.outruns(works).await {
            Ok(snapshot) => self.install(&mut stored, snapshot).await,
            Err(error) => {
                self.drop_unused().await;
                Err(error)
            }
        }
    }

    /// The right to change the configuration. Nobody waits for it: a backend that is tried may take long to answer.
    fn alone(&self) -> Result<MutexGuard<'_, Stored>, KmsError> {
        self.changes.try_lock().map_err(|_| KmsError::Conflict("another change of the KMS is under way; try again later".to_owned()))
    }

    pub(super) async fn start(self: Arc<Self>) -> Result<(), KmsError> {
        let mut stored = self.changes.lock().await;
        let before = self.snapshot();
        before.configuration()?;
        check_unsealed(&before.document)?;
        let snapshot = self.set_up(Document { started: true, ..before.document.clone() }, false).await;
        snapshot.in_force()?;
        self.ensure_default_key(&snapshot).await?;
        self.install(&mut stored, snapshot).await
    }

    pub(super) async fn stop(self: Arc<Self>) -> Result<(), KmsError> {
        self.lay_down(Close::Stop).await
    }

    pub(super) async fn seal(self: Arc<Self>) -> Result<(), KmsError> {
        self.lay_down(Close::Seal).await
    }

    pub(super) async fn unseal(self: Arc<Self>) -> Result<(), KmsError> {
        let mut stored = self.changes.lock().await;
        let before = self.snapshot();
        if !before.document.sealed {
            before.configuration()?;
        }
        let snapshot = self.set_up(Document { sealed: false, ..before.document.clone() }, false).await;
        self.install(&mut stored, snapshot).await
    }

    pub(super) async fn remove_backend(self: Arc<Self>, name: String) -> Result<(), KmsError> {
        let mut stored = self.changes.lock().await;
        let before = self.snapshot();
        let mut configuration = before.configuration()?.clone();
        check_unsealed(&before.document)?;
        if configuration.in_force == name {
            let text = format!("the backend {name} is in force: put another one in force first, with POST /kms/reconfigure");
            return Err(KmsError::Conflict(text));
        }
        if configuration.backends.remove(&name).is_none() {
            return Err(unknown(&name));
        }
        let document = Document { configuration: Some(configuration), ..before.document.clone() };
        let snapshot = self.set_up(document, false).await;
        drop(before);
        self.install(&mut stored, snapshot).await
    }

    /// Sets up again what could not be set up, now that its cause may be gone.
    pub(super) async fn mend(self: Arc<Self>) {
        if self.snapshot().stacks.values().all(Result::is_ok) {
            return;
        }
        let _alone = self.changes.lock().await;
        self.show(self.set_up(self.snapshot().document.clone(), false).await);
    }

    /// Ends every use: the stacks are made anew, without connections and cached keys. Uses are refused from the beginning on, and again
    /// allowed if it fails.
    async fn lay_down(&self, close: Close) -> Result<(), KmsError> {
        let _asked = self.closing.ask(close);
        let mut stored = self.changes.lock().await;
        let mut document = self.snapshot().document.clone();
        document.configuration.as_ref().ok_or(KmsError::NotConfigured)?;
        match close {
            Close::Seal => document.sealed = true,
            Close::Stop => document.started = false,
        }
        let snapshot = self.set_up(document, true).await;
        self.install(&mut stored, snapshot).await
    }

    /// Makes sure that what a change puts in force works: the backend answers, and the default key that was given can be used.
    async fn check_works(&self, before: &Snapshot, after: &Snapshot, change: &Change) -> Result<(), KmsError> {
        let stack = after.in_force()?;
        let settings = &after.configuration()?.settings;
        let as_before = before.in_force().is_ok_and(|earlier| Arc::ptr_eq(&earlier.backend, &stack.backend));
        if let Some(key_id) = settings.default_key_id.as_deref().filter(|_| change.default_key_id.is_some()) {
            return check_default_key(stack, key_id).await;
        }
        if as_before {
            return Ok(());
        }
        stack.probe(settings.default_key_id.as_deref(), settings.guard().timeout).await
    }

    /// Makes the default key of a local backend that starts, unless what is stored depends on one that is lost.
    async fn ensure_default_key(&self, snapshot: &Snapshot) -> Result<(), KmsError> {
        let Ok(stack) = snapshot.in_force() else { return Ok(()) };
        let key_id = &snapshot.configuration()?.settings.default_key_id;
        let Some(key_id) = key_id.as_ref().filter(|_| snapshot.is_running() && stack.settings.backend_type == LOCAL) else {
            return Ok(());
        };
        match stack.backend.describe_key(key_id).await {
            Err(KmsError::KeyNotFound(_)) => {}
            // A key that is there is left as it is, a damaged one too.
            _ => return Ok(()),
        }
        if self.usage.is_key_in_use(&stack.name, key_id).await? {
            let file =
                if stack.name == LOCAL { self.local.key_file(key_id).display().to_string() } else { "in its key directory".to_owned() };
            let text = format!("the store depends on the KMS key {key_id}, but its file {file} is missing; restore it from your copy");
            return Err(KmsError::Broken(text));
        }
        let name = strongroom_kms::resolve_key_id(key_id)?.to_owned();
        let key = NewKey { name: Some(name), description: "The default key".to_owned(), ..NewKey::default() };
        stack.backend.create_key(key).await.map(drop)
    }
}

async fn check_default_key(stack: &Stack, key_id: &str) -> Result<(), KmsError> {
    match stack.overlay.check_usable(key_id).await {
        Err(KmsError::KeyNotFound(_)) => Err(KmsError::InvalidArgument(format!(
            "default_key_id: the backend {} has no key {key_id}; create it first, with POST /kms/keys",
            stack.name
        ))),
        checked => checked.map(drop),
    }
}

fn check_unsealed(document: &Document) -> Result<(), KmsError> {
    if document.sealed { Err(KmsError::ServiceSealed) } else { Ok(()) }
}

pub(super) fn unknown(name: &str) -> KmsError {
    KmsError::Conflict(format!("there is no backend of the name {name}; GET /kms/status lists those there are"))
}
