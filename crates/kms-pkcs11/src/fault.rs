//! What a token's return values mean.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use strongroom_kms::KmsError;

/// CKR_AEAD_DECRYPT_FAILED, which the bindings do not name. Source: PKCS#11 3.0.
const AEAD_DECRYPT_FAILED: u64 = 0x35;

/// Why work on a token ended early.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The answer is clear already.
    Answer(KmsError),
    /// The library said so.
    Library(Error),
}

impl From<KmsError> for Fault {
    fn from(error: KmsError) -> Self {
        Self::Answer(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl Fault {
    /// The situation for the caller.
    pub(crate) fn into_answer(self) -> KmsError {
        match self {
            Self::Answer(error) => error,
            Self::Library(error) => answer(&error),
        }
    }

    /// Whether sessions, login or token are gone, so that only starting anew helps.
    pub(crate) fn is_lost(&self) -> bool {
        let Self::Library(Error::Pkcs11(code, _)) = self else { return false };
        matches!(
            code,
            RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::GeneralError
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::SlotIdInvalid
                | RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::CryptokiNotInitialized
                | RvError::UserNotLoggedIn
        )
    }

    /// Whether the token says of a ciphertext that it is not genuine.
    pub(crate) fn is_bad_ciphertext(&self) -> bool {
        let Self::Library(Error::Pkcs11(code, _)) = self else { return false };
        matches!(code, RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::UnknownErrorCode(AEAD_DECRYPT_FAILED))
    }

    /// Whether the failure of a decryption may mean the same: many tokens have no better word for it than for their own breakdown.
    pub(crate) fn may_be_bad_ciphertext(&self) -> bool {
        let Self::Library(Error::Pkcs11(code, Function::Decrypt)) = self else { return false };
        matches!(code, RvError::GeneralError | RvError::FunctionFailed | RvError::DeviceError | RvError::DataInvalid)
    }
}

/// Whether the library refuses the PIN or the user, which no retry mends.
pub(crate) fn is_login_refused(error: &Error) -> bool {
    let Error::Pkcs11(code, _) = error else { return false };
    matches!(
        code,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
            | RvError::UserTypeInvalid
    )
}

/// The function and its return value in the standard's names. The library's own texts are essays.
pub(crate) fn describe(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("C_{function:?} answered {code:?}"),
        other => other.to_string(),
    }
}

fn answer(error: &Error) -> KmsError {
    let text = describe(error);
    let Error::Pkcs11(code, _) = error else { return KmsError::Unavailable(text) };
    match code {
        _ if is_login_refused(error) => KmsError::Denied(text),
        RvError::KeyFunctionNotPermitted => KmsError::Denied(format!("{text}: the key must have CKA_ENCRYPT and CKA_DECRYPT")),
        RvError::ActionProhibited | RvError::AttributeReadOnly | RvError::TokenWriteProtected | RvError::SessionReadOnly => {
            KmsError::Denied(format!("{text}: the token or the key does not allow this change"))
        }
        RvError::MechanismInvalid | RvError::MechanismParamInvalid => {
            KmsError::Broken(format!("{text}: the token does not do AES-GCM with an IV of 12 bytes and a tag of 128 bits"))
        }
        _ => KmsError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(code: RvError, function: Function) -> Fault {
        Fault::Library(Error::Pkcs11(code, function))
    }

    #[test]
    fn a_device_that_fails_is_lost_and_unavailable() {
        for code in [RvError::DeviceError, RvError::DeviceRemoved, RvError::TokenNotPresent, RvError::SessionHandleInvalid] {
            assert!(library(code, Function::Encrypt).is_lost(), "{code:?}");
            assert!(matches!(library(code, Function::Encrypt).into_answer(), KmsError::Unavailable(_)), "{code:?}");
        }
    }

    #[test]
    fn a_refused_pin_is_denied_in_the_names_of_the_standard() {
        let KmsError::Denied(text) = library(RvError::PinLocked, Function::Login).into_answer() else { panic!() };
        assert_eq!(text, "C_Login answered PinLocked");
    }

    #[test]
    fn only_decryption_leaves_doubt_between_a_bad_ciphertext_and_a_breakdown() {
        assert!(library(RvError::GeneralError, Function::Decrypt).may_be_bad_ciphertext());
        assert!(!library(RvError::GeneralError, Function::DecryptInit).may_be_bad_ciphertext());
        assert!(!library(RvError::TokenNotPresent, Function::Decrypt).may_be_bad_ciphertext());
        assert!(library(RvError::EncryptedDataInvalid, Function::Decrypt).is_bad_ciphertext());
    }
}
