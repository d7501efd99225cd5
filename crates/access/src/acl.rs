//! Access control lists of buckets and objects, where a bucket's ownership lets them count.

use serde::{Deserialize, Serialize};

use crate::{Action, Identity};

/// The most grants of one list, as with Amazon.
pub const MAX_GRANTS: usize = 100;

/// Who owns a bucket or an object, and what is granted to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    /// As [`Identity::owner`]; it has every right that a list can grant, whatever the list says.
    pub owner: String,
    /// In the order in which they were given.
    pub grants: Vec<Grant>,
}

/// A right, and who has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who has it.
    pub to: Grantee,
    /// Which it is.
    pub permission: Permission,
}

/// Who is granted something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grantee {
    /// Whoever goes by that canonical id: see [`Identity::owner`].
    User(String),
    /// Everybody, also without a signature.
    AllUsers,
    /// Everybody who signs.
    AuthenticatedUsers,
    /// What writes access logs at Amazon: nobody here.
    LogDelivery,
}

/// What is granted. What it allows depends on whether it is of a bucket or of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permission {
    /// Listing a bucket; reading an object.
    Read,
    /// Writing objects into a bucket.
    Write,
    /// Reading the list itself.
    ReadAcp,
    /// Replacing it.
    WriteAcp,
    /// All of these.
    FullControl,
}

impl Permission {
    /// Every permission, each with the name that documents use.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Read, "READ"),
        (Self::Write, "WRITE"),
        (Self::ReadAcp, "READ_ACP"),
        (Self::WriteAcp, "WRITE_ACP"),
        (Self::FullControl, "FULL_CONTROL"),
    ];

    /// The name that documents use.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(permission, _)| *permission == self).map_or("", |(_, name)| name)
    }

    /// The permission that the action takes; none where no list grants it. Source: "Mapping of ACL permissions and access policy
    /// permissions" in the user guide of S3.
    fn of(action: Action) -> Option<Self> {
        match action {
            Action::ListBucket
            | Action::ListBucketVersions
            | Action::ListBucketMultipartUploads
            | Action::GetObject
            | Action::GetObjectVersion => Some(Self::Read),
            Action::PutObject => Some(Self::Write),
            Action::GetBucketAcl | Action::GetObjectAcl | Action::GetObjectVersionAcl => Some(Self::ReadAcp),
            Action::PutBucketAcl | Action::PutObjectAcl | Action::PutObjectVersionAcl => Some(Self::WriteAcp),
            _ => None,
        }
    }
}

/// Whether it is the list of an object, not that of its bucket, that allows the action or does not.
pub fn is_of_object(action: Action) -> bool {
    matches!(
        action,
        Action::GetObject
            | Action::GetObjectVersion
            | Action::GetObjectAcl
            | Action::GetObjectVersionAcl
            | Action::PutObjectAcl
            | Action::PutObjectVersionAcl
    )
}

impl Acl {
    /// The list that grants nothing but to its owner.
    pub fn private(owner: impl Into<String>) -> Self {
        let owner = owner.into();
        let all = Grant { to: Grantee::User(owner.clone()), permission: Permission::FullControl };
        Self { owner, grants: vec![all] }
    }

    /// The canned list of that name, of a bucket or of an object in a bucket of `bucket_owner`; none where there is no such list.
    pub fn canned(name: &str, owner: &str, bucket_owner: &str) -> Option<Self> {
        let mut acl = Self::private(owner);
        // The owner's stands last: RGW orders them so, and its suite looks at the order.
        let mut grant = |to: Grantee, permission: Permission| acl.grants.insert(acl.grants.len() - 1, Grant { to, permission });
        match name {
            "public-read" => grant(Grantee::AllUsers, Permission::Read),
            "public-read-write" => {
                grant(Grantee::AllUsers, Permission::Read);
                grant(Grantee::AllUsers, Permission::Write);
            }
            "authenticated-read" => grant(Grantee::AuthenticatedUsers, Permission::Read),
            "bucket-owner-read" if owner != bucket_owner => grant(Grantee::User(bucket_owner.to_owned()), Permission::Read),
            "bucket-owner-full-control" if owner != bucket_owner => grant(Grantee::User(bucket_owner.to_owned()), Permission::FullControl),
            "private" | "bucket-owner-read" | "bucket-owner-full-control" => {}
            "log-delivery-write" => {
                grant(Grantee::LogDelivery, Permission::Write);
                grant(Grantee::LogDelivery, Permission::ReadAcp);
            }
            _ => return None,
        }
        Some(acl)
    }

    /// Whether it grants anything to people whom nobody knows.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(|grant| matches!(grant.to, Grantee::AllUsers | Grantee::AuthenticatedUsers))
    }

    /// Whether it grants nothing to anybody but `owner`.
    pub fn is_private_to(&self, owner: &str) -> bool {
        self.grants.iter().all(|grant| matches!(&grant.to, Grantee::User(name) if name == owner))
    }

    /// Whether it allows the identity the action. Groups do not count where public lists are ignored. What the owner has counts for users of
    /// another account than the bucket's alone: within the account policies say what its users may.
    pub(crate) fn allows(&self, identity: &Identity, is_of_account: bool, action: Action, ignores_public: bool) -> bool {
        let Some(wanted) = Permission::of(action) else { return false };
        let is = |name: &str| !identity.is_anonymous() && identity.owner() == name;
        let owner_counts = !is_of_account;
        let is_meant = |to: &Grantee| match to {
            Grantee::User(name) => is(name) && (owner_counts || *name != self.owner),
            Grantee::AllUsers => !ignores_public,
            Grantee::AuthenticatedUsers => !ignores_public && !identity.is_anonymous(),
            Grantee::LogDelivery => false,
        };
        let grants = |grant: &Grant| [wanted, Permission::FullControl].contains(&grant.permission) && is_meant(&grant.to);
        (owner_counts && is(&self.owner)) || self.grants.iter().any(grants)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{PolicySet, SecretKey};

    fn user(name: &str) -> Identity {
        let secret = SecretKey::new("long enough".to_owned()).unwrap();
        Identity::user(name, format!("AK{name}"), secret, PolicySet::default()).unwrap()
    }

    /// The table of Amazon's user guide, action by action.
    #[test]
    fn a_canned_list_allows_these_actions_and_no_others() {
        use Action::{
            GetBucketAcl, GetObject, GetObjectAcl, GetObjectVersion, GetObjectVersionAcl, ListBucket, ListBucketMultipartUploads,
            ListBucketVersions, PutBucketAcl, PutObject, PutObjectAcl, PutObjectVersionAcl,
        };
        let read = vec![ListBucket, ListBucketVersions, ListBucketMultipartUploads, GetObject, GetObjectVersion];
        let write = [read.clone(), vec![PutObject]].concat();
        let acp = vec![GetBucketAcl, PutBucketAcl, GetObjectAcl, GetObjectVersionAcl, PutObjectAcl, PutObjectVersionAcl];
        let all = [write.clone(), acp].concat();
        let none = Vec::new();
        let (ann, bob, anonymous) = (user("ann"), user("bob"), Identity::anonymous());
        for (name, of_bob, of_anonymous, of_bucket_owner) in [
            ("private", &none, &none, &none),
            ("public-read", &read, &read, &read),
            ("public-read-write", &write, &write, &write),
            ("authenticated-read", &read, &none, &read),
            ("bucket-owner-read", &none, &none, &read),
            ("bucket-owner-full-control", &none, &none, &all),
            ("log-delivery-write", &none, &none, &none),
        ] {
            let acl = Acl::canned(name, "ann", "carl").unwrap();
            for (identity, expected) in [(&ann, &all), (&bob, of_bob), (&anonymous, of_anonymous), (&user("carl"), of_bucket_owner)] {
                for action in Action::ALL {
                    assert_eq!(
                        acl.allows(identity, false, *action, false),
                        expected.contains(action),
                        "{name} {} {action:?}",
                        identity.name
                    );
                }
                // What everybody has does not count where public lists are ignored.
                let alone = identity.name == "ann" || name.starts_with("bucket-owner");
                assert_eq!(
                    acl.allows(identity, false, GetObject, true),
                    alone && expected.contains(&GetObject),
                    "{name} {}",
                    identity.name
                );
            }
            let within = name.starts_with("public") || name == "authenticated-read";
            assert_eq!(acl.allows(&ann, true, GetObject, false), within, "{name}: an owner has what policies say");
            assert_eq!(acl.is_public(), name.starts_with("public") || name.starts_with("authenticated"), "{name}");
            assert_eq!(acl.is_private_to("ann"), name == "private", "{name}");
        }
        assert_eq!(Acl::canned("bucket-owner-read", "ann", "ann"), Some(Acl::private("ann")));
        assert_eq!(Acl::canned("public", "ann", "ann"), None);
    }
}
