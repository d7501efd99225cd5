//! The loaded library. PKCS#11 initialises a library and logs in to a token once for the whole process, so all backends share this.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use strongroom_files::Links;
use strongroom_kms::{KmsError, Secret};

use crate::fault::describe;

/// One library. Whoever works with its sessions holds the state for reading; who opens, logs in or resets, for writing.
pub(super) struct Module {
    path: PathBuf,
    state: RwLock<State>,
}

/// What there is of the library in this process.
#[derive(Default)]
pub(super) struct State {
    library: Option<Pkcs11>,
    /// Counts resets, so that of several who see the same loss one resets.
    generation: u64,
    logins: HashMap<u64, Login>,
}

/// A token that is logged in.
pub(super) struct Login {
    pub(super) pin: Secret,
    pub(super) users: BTreeSet<u64>,
    /// Stays open: closing the last session would log out.
    pub(super) anchor: Mutex<Session>,
    idle: Mutex<Vec<Session>>,
}

impl Module {
    /// The library of this path, which is not loaded yet. Never unloaded: libraries do not survive that.
    pub(super) fn of(path: &Path) -> Arc<Self> {
        static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        let module = modules.entry(path.to_owned());
        Arc::clone(module.or_insert_with(|| Arc::new(Self { path: path.to_owned(), state: RwLock::default() })))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the library, once per generation. The next use starts it again.
    pub(super) fn reset(&self, generation: u64) {
        let mut state = self.write();
        if state.generation == generation {
            state.reset();
        }
    }
}

impl State {
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn library(&self) -> Option<&Pkcs11> {
        self.library.as_ref()
    }

    pub(super) fn login(&self, slot: Slot) -> Option<&Login> {
        self.logins.get(&slot.id())
    }

    pub(super) fn login_mut(&mut self, slot: Slot) -> Option<&mut Login> {
        self.logins.get_mut(&slot.id())
    }

    pub(super) fn is_user(&self, slot: Slot, user: u64) -> bool {
        self.login(slot).is_some_and(|login| login.users.contains(&user))
    }

    pub(super) fn has_logins(&self) -> bool {
        !self.logins.is_empty()
    }

    pub(super) fn add_login(&mut self, slot: Slot, pin: Secret, anchor: Session, user: u64) {
        let login = Login { pin, users: [user].into(), anchor: Mutex::new(anchor), idle: Mutex::default() };
        self.logins.insert(slot.id(), login);
    }

    pub(super) fn remove_login(&mut self, slot: Slot) {
        self.logins.remove(&slot.id());
    }

    /// `user` needs no login any more.
    pub(super) fn leave(&mut self, user: u64) {
        self.logins.retain(|_, login| {
            login.users.remove(&user);
            !login.users.is_empty()
        });
    }

    /// Sessions go first: after C_Finalize their numbers may be another's.
    pub(super) fn reset(&mut self) {
        self.logins.clear();
        self.generation += 1;
        if let Some(library) = self.library.take()
            && let Err(error) = library.finalize()
        {
            tracing::warn!(error = describe(&error), "the PKCS#11 library does not end");
        }
    }

    /// The library, loaded and initialised.
    pub(super) fn start(&mut self, path: &Path) -> Result<Pkcs11, KmsError> {
        if let Some(library) = &self.library {
            return Ok(library.clone());
        }
        let fails = |error: &Error| KmsError::Unavailable(format!("the PKCS#11 library {}: {}", path.display(), describe(error)));
        // The loader would wait for a FIFO's other end.
        strongroom_files::open(path, Links::Follow)
            .map_err(|error| KmsError::Unavailable(format!("the PKCS#11 library {}: {error}", path.display())))?;
        let library = Pkcs11::new(path).map_err(|error| fails(&error))?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(fails(&error)),
        }
        self.library = Some(library.clone());
        Ok(library)
    }
}

impl Login {
    pub(super) fn take_idle(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn put_idle(&self, session: Session, most: usize) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < most {
            idle.push(session);
        }
    }
}
