//! The names of events.

use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// What happened. Source of the names: Amazon S3 User Guide, "Supported event types".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventName {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EventName {
            /// Every event that this store sends.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As records have it: without `s3:`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

events! {
    /// PutObject.
    ObjectCreatedPut = "ObjectCreated:Put",
    /// POST Object.
    ObjectCreatedPost = "ObjectCreated:Post",
    /// CopyObject.
    ObjectCreatedCopy = "ObjectCreated:Copy",
    /// CompleteMultipartUpload.
    ObjectCreatedCompleteMultipartUpload = "ObjectCreated:CompleteMultipartUpload",
    /// DeleteObject or DeleteObjects removed a version, or a delete marker.
    ObjectRemovedDelete = "ObjectRemoved:Delete",
    /// DeleteObject or DeleteObjects added a delete marker.
    ObjectRemovedDeleteMarkerCreated = "ObjectRemoved:DeleteMarkerCreated",
    /// PutObjectTagging changed the tags.
    ObjectTaggingPut = "ObjectTagging:Put",
    /// DeleteObjectTagging took tags away.
    ObjectTaggingDelete = "ObjectTagging:Delete",
    /// PutObjectAcl changed the ACL.
    ObjectAclPut = "ObjectAcl:Put",
    /// A lifecycle rule removed a version, or a delete marker.
    LifecycleExpirationDelete = "LifecycleExpiration:Delete",
    /// A lifecycle rule added a delete marker.
    LifecycleExpirationDeleteMarkerCreated = "LifecycleExpiration:DeleteMarkerCreated",
    /// The configuration was put: tells the receiver that it is reached.
    TestEvent = "TestEvent",
}

impl EventName {
    /// The events that `s3:ObjectCreated:Put` or `s3:ObjectCreated:*` means; none where this store sends no such event.
    pub fn matching(pattern: &str) -> Vec<Self> {
        Self::ALL.iter().filter(|event| event.is_meant_by(pattern)).copied().collect()
    }

    /// Whether the pattern means this event. Nothing means the test event: it is sent without being asked for.
    pub fn is_meant_by(self, pattern: &str) -> bool {
        let Some(pattern) = pattern.strip_prefix("s3:").filter(|_| self != Self::TestEvent) else { return false };
        match pattern.strip_suffix(":*") {
            Some(group) => self.as_str().split_once(':').is_some_and(|(of, _)| of == group),
            None => self.as_str() == pattern,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_one_event_or_a_group_and_never_the_test() {
        assert_eq!(EventName::matching("s3:ObjectCreated:Copy"), [EventName::ObjectCreatedCopy]);
        assert_eq!(EventName::matching("s3:ObjectCreated:*").len(), 4);
        assert_eq!(
            EventName::matching("s3:LifecycleExpiration:*"),
            [EventName::LifecycleExpirationDelete, EventName::LifecycleExpirationDeleteMarkerCreated]
        );
        for none in
            ["", "s3:", "s3:*", "s3:TestEvent", "ObjectCreated:Put", "s3:ObjectCreated", "s3:ObjectCreated:P*", "s3:ObjectRestore:Post"]
        {
            assert_eq!(EventName::matching(none), [], "{none}");
        }
    }
}
