//! The managed policies that every account has: AWS's by their names, and those that MinIO's users know.

use strongroom_access::CANNED_POLICIES;

/// Names and documents of policies of AWS, as far as this server has the services.
const AWS: [(&str, &str); 5] = [
    ("AdministratorAccess", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#),
    ("AmazonS3FullAccess", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#),
    (
        "AmazonS3ReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}"#,
    ),
    ("IAMFullAccess", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#),
    (
        "IAMReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}]}"#,
    ),
];

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    AWS.into_iter().chain(CANNED_POLICIES.iter().copied())
}

/// The document of the policy of that name.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    all().find(|(other, _)| *other == name).map(|(_, document)| document)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strongroom_access::Policy;

    use super::*;

    #[test]
    fn each_is_a_policy_and_has_a_name_of_its_own() {
        let names: BTreeSet<_> = all().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all().count());
        for (name, document) in all() {
            assert!(Policy::parse(document).is_ok_and(|policy| policy.unmatched_actions().is_empty()), "{name}");
        }
    }
}
