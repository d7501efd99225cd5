//! Finding the token and logging in, without ever offering a PIN twice that was refused.

use std::sync::PoisonError;

use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use strongroom_kms::{KmsError, Secret};

use super::Token;
use super::module::State;
use crate::fault::{Fault, describe, is_login_refused};

/// The most tokens that an error names.
const MAX_NAMED_TOKENS: usize = 8;

impl Token {
    /// Makes this token one that is logged in.
    pub(super) fn connect(&self, state: &mut State) -> Result<(), KmsError> {
        let pin = self.config.read_pin()?;
        self.check_not_refused(&pin)?;
        let (library, slot) = self.find(state)?;
        let done = self.log_in(state, &library, slot, &pin);
        if let Err(Fault::Library(error)) = &done
            && is_login_refused(error)
        {
            *self.refused_pin.lock().unwrap_or_else(PoisonError::into_inner) = Some(pin);
            if !state.has_logins() {
                // Some libraries learn only at their start that a PIN was changed elsewhere.
                drop(library);
                state.reset();
            }
            return Err(pin_refused(&describe(error)));
        }
        done.map_err(|fault| {
            if fault.is_lost() {
                state.reset();
            }
            fault.into_answer()
        })?;
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot);
        Ok(())
    }

    fn check_not_refused(&self, pin: &Secret) -> Result<(), KmsError> {
        let refused = self.refused_pin.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref() == Some(pin) { Err(pin_refused("the token refused it before")) } else { Ok(()) }
    }

    /// The library and the slot. Some libraries see new tokens only when they start, so one that nobody uses is started anew.
    fn find(&self, state: &mut State) -> Result<(Pkcs11, Slot), KmsError> {
        let library = state.start(self.module.path())?;
        match self.find_slot(&library) {
            Ok(slot) => Ok((library, slot)),
            Err(error) if state.has_logins() => Err(error),
            Err(_) => {
                drop(library);
                state.reset();
                let library = state.start(self.module.path())?;
                self.find_slot(&library).map(|slot| (library, slot))
            }
        }
    }

    fn find_slot(&self, library: &Pkcs11) -> Result<Slot, KmsError> {
        let fails = |error: Error| Fault::from(error).into_answer();
        let slots = library.get_slots_with_token().map_err(fails)?;
        let Some(wanted) = &self.config.token_label else {
            let wanted = self.config.slot;
            let found = slots.into_iter().find(|slot| Some(slot.id()) == wanted);
            return found.ok_or_else(|| KmsError::Unavailable(format!("there is no token in slot {}", wanted.unwrap_or_default())));
        };
        let label = |slot: &Slot| library.get_token_info(*slot).ok().map(|info| info.label().trim_end().to_owned());
        let labels: Vec<(Slot, String)> = slots.into_iter().filter_map(|slot| Some((slot, label(&slot)?))).collect();
        let mut found = labels.iter().filter(|(_, label)| label == wanted);
        match (found.next(), found.next()) {
            (Some((slot, _)), None) => Ok(*slot),
            (Some(_), Some(_)) => Err(KmsError::Unavailable(format!("several tokens are labelled {wanted:?}: set slot instead"))),
            (None, _) => {
                let there: Vec<&str> = labels.iter().map(|(_, label)| label.as_str()).take(MAX_NAMED_TOKENS).collect();
                Err(KmsError::Unavailable(format!("no token is labelled {wanted:?}; there are {there:?}")))
            }
        }
    }

    /// Joins the login that there is, if the PIN is the same, or makes one.
    fn log_in(&self, state: &mut State, library: &Pkcs11, slot: Slot, pin: &Secret) -> Result<(), Fault> {
        let Some(login) = state.login_mut(slot) else {
            let anchor = library.open_ro_session(slot)?;
            check_tries_left(library, slot)?;
            offer(&anchor, pin)?;
            state.add_login(slot, pin.clone(), anchor, self.id);
            return Ok(());
        };
        if login.pin != *pin {
            check_tries_left(library, slot)?;
            if let Err(error) = change_pin(login.anchor.get_mut().unwrap_or_else(PoisonError::into_inner), &login.pin, pin) {
                if !matches!(&error, Fault::Library(error) if is_login_refused(error)) {
                    state.remove_login(slot);
                }
                return Err(error);
            }
            login.pin = pin.clone();
        }
        login.users.insert(self.id);
        Ok(())
    }

    /// Whether the token in the slot is the one that was logged in to.
    pub(super) fn check_present(&self, library: &Pkcs11, slot: Slot) -> Result<(), Fault> {
        let info = library.get_token_info(slot)?;
        let is_ours = self.config.token_label.as_ref().is_none_or(|label| info.label().trim_end() == label);
        if is_ours && info.token_initialized() {
            Ok(())
        } else {
            Err(Error::Pkcs11(RvError::TokenNotPresent, Function::GetTokenInfo).into())
        }
    }
}

/// The last try before a lock is a human's.
fn check_tries_left(library: &Pkcs11, slot: Slot) -> Result<(), Fault> {
    let info = library.get_token_info(slot)?;
    if info.user_pin_locked() {
        return Err(KmsError::Denied("the token's user PIN is locked: its security officer must set it anew".to_owned()).into());
    }
    if info.user_pin_final_try() {
        let text = "the token has a single PIN try left, which the server does not take: log in once with the vendor's tool";
        return Err(KmsError::Denied(text.to_owned()).into());
    }
    Ok(())
}

/// Offers the PIN once.
fn offer(session: &Session, pin: &Secret) -> Result<(), Fault> {
    match session.login(UserType::User, Some(&AuthPin::from(pin.expose()))) {
        // A login whose owner this process has lost track of: whether the PIN is right shows only in a login of our own.
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            session.logout()?;
            Ok(session.login(UserType::User, Some(&AuthPin::from(pin.expose())))?)
        }
        done => Ok(done?),
    }
}

/// Another configuration of the same token has another PIN: one login per process, so it must show that its PIN is right. If not, the
/// former one, which was right, is restored.
fn change_pin(session: &Session, present: &Secret, new: &Secret) -> Result<(), Fault> {
    session.logout()?;
    let Err(refused) = offer(session, new) else { return Ok(()) };
    match offer(session, present) {
        Ok(()) => Err(refused),
        Err(_) => Err(KmsError::Unavailable("the token took neither the new PIN nor the one it was logged in with".to_owned()).into()),
    }
}

fn pin_refused(reason: &str) -> KmsError {
    KmsError::Denied(format!("the PIN ({reason}); it is not tried again until pin or pin_file changes, lest the token lock"))
}
