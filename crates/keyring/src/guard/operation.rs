//! What is called and how it ends.

use strongroom_kms::KmsError;

/// The methods of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    CheckUsable,
    GenerateDataKey,
    UnwrapDataKey,
    RewrapDataKey,
    CreateKey,
    ImportKey,
    ListKeys,
    DescribeKey,
    EnableKey,
    DisableKey,
    RotateKey,
    SealKey,
    UnsealKey,
    Tag,
    Untag,
    UpdateDescription,
    ScheduleDeletion,
    CancelDeletion,
    DeleteNow,
    ReapDeleted,
    SealService,
    UnsealService,
}

impl Operation {
    pub(super) const COUNT: usize = Self::UnsealService as usize + 1;

    /// The method's name and whether calling it twice does and answers what calling it once does.
    const fn properties(self) -> (&'static str, bool) {
        match self {
            Self::CheckUsable => ("check_usable", true),
            // Another data key is as good.
            Self::GenerateDataKey => ("generate_data_key", true),
            Self::UnwrapDataKey => ("unwrap_data_key", true),
            Self::RewrapDataKey => ("rewrap_data_key", true),
            Self::CreateKey => ("create_key", false),
            Self::ImportKey => ("import_key", false),
            Self::ListKeys => ("list_keys", true),
            Self::DescribeKey => ("describe_key", true),
            Self::EnableKey => ("enable_key", true),
            Self::DisableKey => ("disable_key", true),
            Self::RotateKey => ("rotate_key", false),
            Self::SealKey => ("seal_key", true),
            Self::UnsealKey => ("unseal_key", true),
            Self::Tag => ("tag", true),
            Self::Untag => ("untag", true),
            Self::UpdateDescription => ("update_description", true),
            Self::ScheduleDeletion => ("schedule_deletion", false),
            Self::CancelDeletion => ("cancel_deletion", false),
            Self::DeleteNow => ("delete_now", false),
            // The second call would not name the keys that the first destroyed.
            Self::ReapDeleted => ("reap_deleted", false),
            Self::SealService => ("seal_service", true),
            Self::UnsealService => ("unseal_service", true),
        }
    }

    pub(super) const fn name(self) -> &'static str {
        self.properties().0
    }

    pub(super) const fn is_idempotent(self) -> bool {
        self.properties().1
    }

    pub(super) fn all() -> [Self; Self::COUNT] {
        use Operation::{
            CancelDeletion, CheckUsable, CreateKey, DeleteNow, DescribeKey, DisableKey, EnableKey, GenerateDataKey, ImportKey, ListKeys,
            ReapDeleted, RewrapDataKey, RotateKey, ScheduleDeletion, SealKey, SealService, Tag, UnsealKey, UnsealService, Untag,
            UnwrapDataKey, UpdateDescription,
        };
        [
            CheckUsable,
            GenerateDataKey,
            UnwrapDataKey,
            RewrapDataKey,
            CreateKey,
            ImportKey,
            ListKeys,
            DescribeKey,
            EnableKey,
            DisableKey,
            RotateKey,
            SealKey,
            UnsealKey,
            Tag,
            Untag,
            UpdateDescription,
            ScheduleDeletion,
            CancelDeletion,
            DeleteNow,
            ReapDeleted,
            SealService,
            UnsealService,
        ]
    }
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Refused,
    Rejected,
    Denied,
    Unavailable,
    TimedOut,
    BreakerOpen,
    Overloaded,
    Broken,
    Cancelled,
}

impl Outcome {
    pub(super) const COUNT: usize = Self::Cancelled as usize + 1;

    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Ok,
        Self::Refused,
        Self::Rejected,
        Self::Denied,
        Self::Unavailable,
        Self::TimedOut,
        Self::BreakerOpen,
        Self::Overloaded,
        Self::Broken,
        Self::Cancelled,
    ];

    /// The outcome of a call that the backend answered with this error.
    pub(super) fn of(error: &KmsError) -> Self {
        match error {
            KmsError::KeyNotFound(_)
            | KmsError::KeyErased(_)
            | KmsError::KeyDisabled(_)
            | KmsError::KeyPendingDeletion(_)
            | KmsError::KeySealed(_)
            | KmsError::ServiceSealed
            | KmsError::KeyExists(_)
            | KmsError::InvalidArgument(_)
            | KmsError::Conflict(_)
            | KmsError::NotConfigured
            | KmsError::Unsupported { .. } => Self::Refused,
            KmsError::Rejected => Self::Rejected,
            KmsError::Denied(_) => Self::Denied,
            KmsError::Unavailable(_) => Self::Unavailable,
            KmsError::Broken(_) => Self::Broken,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::BreakerOpen => "breaker_open",
            Self::Overloaded => "overloaded",
            Self::Broken => "broken",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_outcome_is_listed_at_its_own_place() {
        for (place, operation) in Operation::all().into_iter().enumerate() {
            assert_eq!(operation as usize, place, "{operation:?}");
        }
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place, "{outcome:?}");
        }
    }
}
