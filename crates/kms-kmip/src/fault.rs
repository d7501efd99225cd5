//! What a server's refusals mean.

use strongroom_kms::KmsError;

use crate::operations::Operation;

/// Why an exchange with the server did not give what it should.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server refuses an operation.
    Refused { operation: Operation, reason: Reason },
    /// The answer is clear already.
    Answer(KmsError),
}

/// A Result Reason. Source: KMIP 1.4, 9.1.3.2.29.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) u32);

impl Reason {
    pub(crate) const ITEM_NOT_FOUND: Self = Self(0x01);
    const AUTHENTICATION_NOT_SUCCESSFUL: Self = Self(0x03);
    const INVALID_MESSAGE: Self = Self(0x04);
    pub(crate) const OPERATION_NOT_SUPPORTED: Self = Self(0x05);
    const MISSING_DATA: Self = Self(0x06);
    pub(crate) const INVALID_FIELD: Self = Self(0x07);
    const FEATURE_NOT_SUPPORTED: Self = Self(0x08);
    const CRYPTOGRAPHIC_FAILURE: Self = Self(0x0A);
    const ILLEGAL_OPERATION: Self = Self(0x0B);
    const PERMISSION_DENIED: Self = Self(0x0C);
    pub(crate) const OBJECT_ALREADY_EXISTS: Self = Self(0x18);
    const GENERAL_FAILURE: Self = Self(0x100);

    fn text(self) -> String {
        let name = match self {
            Self::ITEM_NOT_FOUND => "Item Not Found",
            Self::AUTHENTICATION_NOT_SUCCESSFUL => "Authentication Not Successful",
            Self::INVALID_MESSAGE => "Invalid Message",
            Self::OPERATION_NOT_SUPPORTED => "Operation Not Supported",
            Self::MISSING_DATA => "Missing Data",
            Self::INVALID_FIELD => "Invalid Field",
            Self::FEATURE_NOT_SUPPORTED => "Feature Not Supported",
            Self::CRYPTOGRAPHIC_FAILURE => "Cryptographic Failure",
            Self::ILLEGAL_OPERATION => "Illegal Operation",
            Self::PERMISSION_DENIED => "Permission Denied",
            Self::OBJECT_ALREADY_EXISTS => "Object Already Exists",
            Self::GENERAL_FAILURE => "General Failure",
            Self(other) => return format!("reason {other:#x}"),
        };
        name.to_owned()
    }
}

impl From<KmsError> for Fault {
    fn from(error: KmsError) -> Self {
        Self::Answer(error)
    }
}

impl Fault {
    /// The situation for the caller. The server's own words are left out: they may quote what was sent.
    pub(crate) fn into_answer(self) -> KmsError {
        let (operation, reason) = match self {
            Self::Answer(error) => return error,
            Self::Refused { operation, reason } => (operation, reason),
        };
        let text = format!("the KMIP server answers {} to {operation:?}", reason.text());
        match reason {
            Reason::AUTHENTICATION_NOT_SUCCESSFUL | Reason::PERMISSION_DENIED => {
                KmsError::Denied(format!("{text}: the client certificate's owner must be permitted to do that"))
            }
            Reason::INVALID_MESSAGE | Reason::OPERATION_NOT_SUPPORTED | Reason::FEATURE_NOT_SUPPORTED | Reason::INVALID_FIELD => {
                KmsError::Broken(format!("{text}: it must speak KMIP 1.4 with AES-GCM, Object Group and Sensitive"))
            }
            _ => KmsError::Unavailable(text),
        }
    }

    /// Whether the server says that it does not know the object.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { reason: Reason::ITEM_NOT_FOUND, .. })
    }

    /// Whether the refusal is about who we are.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { reason: Reason::AUTHENTICATION_NOT_SUCCESSFUL | Reason::PERMISSION_DENIED, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: u32) -> KmsError {
        Fault::Refused { operation: Operation::Create, reason: Reason(reason) }.into_answer()
    }

    #[test]
    fn a_refusal_names_operation_and_reason() {
        assert!(
            matches!(refused(0x0C), KmsError::Denied(text) if text.starts_with("the KMIP server answers Permission Denied to Create: "))
        );
        assert!(matches!(refused(0x04), KmsError::Broken(text) if text.contains("KMIP 1.4")));
        assert!(matches!(refused(0x100), KmsError::Unavailable(text) if text == "the KMIP server answers General Failure to Create"));
        assert!(matches!(refused(0x2A), KmsError::Unavailable(text) if text == "the KMIP server answers reason 0x2a to Create"));
    }
}
