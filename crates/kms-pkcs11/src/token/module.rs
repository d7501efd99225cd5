//! The loaded library. PKCS#11 initialises a library and logs in to a token once for the whole process, so all backends share this.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use strongroom_files::Links;
use strongroom_kms::{KmsError, Secret};

use crate::fault::describe;

/// Every library that this process uses, by path.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());
/// Set when the process ends: then no library starts any more.
static ENDING: AtomicBool = AtomicBool::new(false);
/// Threads that are logging out. Finished ones are dropped when the next one starts.
static LEAVING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// One library. Whoever works with its sessions holds the state for reading; who opens, logs in or resets, for writing.
pub(super) struct Module {
    path: PathBuf,
    state: RwLock<State>,
}

/// What there is of the library in this process.
#[derive(Default)]
pub(super) struct State {
    /// Never unloaded: neither libraries nor the threads that they have started survive that.
    loaded: Option<Pkcs11>,
    /// C_Initialize was called, and C_Finalize was not yet.
    is_started: bool,
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
    /// The library at this path. Does not load it.
    pub(super) fn of(path: &Path) -> Arc<Self> {
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

    /// `user` needs no login any more. Closing sessions may take a while on a distant token, so a thread does it, and only the end of the
    /// process waits for it.
    pub(super) fn leave(self: &Arc<Self>, user: u64) {
        let module = Arc::clone(self);
        let leaving = std::thread::Builder::new().name("pkcs11-leave".to_owned()).spawn(move || module.write().leave(user));
        let mut all = LEAVING.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|thread| !thread.is_finished());
        // If no thread could be started, the sessions stay open until the library ends.
        all.extend(leaving);
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
        self.loaded.as_ref().filter(|_| self.is_started)
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
        if std::mem::take(&mut self.is_started)
            && let Some(library) = self.loaded.clone()
            && let Err(error) = library.finalize()
        {
            tracing::warn!(error = describe(&error), "the PKCS#11 library does not end");
        }
    }

    /// The library, loaded and initialised.
    pub(super) fn start(&mut self, path: &Path) -> Result<Pkcs11, KmsError> {
        if let Some(library) = self.library() {
            return Ok(library.clone());
        }
        if ENDING.load(Ordering::SeqCst) {
            return Err(KmsError::Unavailable(format!("the PKCS#11 library {} is not started any more: the server stops", path.display())));
        }
        let library = self.load(path)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(fails(path, &error)),
        }
        self.is_started = true;
        Ok(library)
    }

    fn load(&mut self, path: &Path) -> Result<Pkcs11, KmsError> {
        if let Some(library) = &self.loaded {
            return Ok(library.clone());
        }
        // The loader would wait for the other end of a FIFO.
        strongroom_files::open(path, Links::Follow)
            .map_err(|error| KmsError::Unavailable(format!("the PKCS#11 library {}: {error}", path.display())))?;
        Ok(self.loaded.insert(Pkcs11::new(path).map_err(|error| fails(path, &error))?).clone())
    }
}

fn fails(path: &Path, error: &Error) -> KmsError {
    KmsError::Unavailable(format!("the PKCS#11 library {}: {}", path.display(), describe(error)))
}

/// Ends every library of this process for good: lets no call begin, waits for those under way, closes the sessions and calls
/// `C_Finalize`. To be called when nothing uses keys any more, before the process ends: destructors of a library crash during a call, and
/// those of some libraries crash while sessions are open.
///
/// False if a call, or the end itself, has not returned in time. Then the process must exit without destructors, as `_exit` does.
pub fn end_libraries(patience: Duration) -> bool {
    ENDING.store(true, Ordering::SeqCst);
    let modules: Vec<_> = MODULES.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
    if modules.is_empty() {
        return true;
    }
    let (done, ended) = mpsc::channel();
    // On a thread of its own, since nothing can make a library return.
    let ending = std::thread::Builder::new().name("pkcs11-end".to_owned()).spawn(move || {
        let leaving = std::mem::take(&mut *LEAVING.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in leaving {
            let _ = thread.join();
        }
        for module in modules {
            // Waits: whoever is inside the library holds the state.
            module.write().reset();
        }
        let _ = done.send(());
    });
    let Ok(ending) = ending else { return false };
    // Joined, since libraries clean up after each thread that was inside, when it ends.
    ended.recv_timeout(patience).is_ok() && ending.join().is_ok()
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
