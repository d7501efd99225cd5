//! Root, and the users of the configuration file: they are there as long as the server runs.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{AccessError, Identity, IdentityError, IdentitySource};

/// Root and the users of the configuration file.
pub struct Configured {
    by_access_key: HashMap<String, Arc<Identity>>,
    by_name: HashMap<String, Arc<Identity>>,
}

impl Configured {
    /// Refuses two identities with one access key, and two users with one name.
    pub fn new(root: Identity, users: Vec<Identity>) -> Result<Self, AccessError> {
        let mut by_name: HashMap<String, Arc<Identity>> = HashMap::new();
        let mut by_access_key: HashMap<String, Arc<Identity>> = HashMap::new();
        for identity in std::iter::once(root).chain(users) {
            if by_name.contains_key(&identity.name) {
                return Err(AccessError::DuplicateName(identity.name));
            }
            if let Some(first) = by_access_key.get(&identity.access_key) {
                return Err(AccessError::DuplicateAccessKey { first: first.name.clone(), second: identity.name });
            }
            let identity = Arc::new(identity);
            by_access_key.insert(identity.access_key.clone(), Arc::clone(&identity));
            by_name.insert(identity.name.clone(), identity);
        }
        Ok(Self { by_access_key, by_name })
    }

    /// Whose access key it is, if it is one of these.
    pub fn access_key(&self, access_key: &str) -> Option<Arc<Identity>> {
        self.by_access_key.get(access_key).map(Arc::clone)
    }

    /// Who has this name, if it is one of these.
    pub fn name(&self, name: &str) -> Option<Arc<Identity>> {
        self.by_name.get(name).map(Arc::clone)
    }

    /// Whether anybody has that name, in whatever case.
    pub fn has_name(&self, name: &str) -> bool {
        self.by_name.keys().any(|other| other.eq_ignore_ascii_case(name))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.by_name.values()
    }

    /// Whether a user of the account has that name, in whatever case.
    pub fn has_user(&self, account: &str, name: &str) -> bool {
        self.by_name.values().any(|identity| identity.account == account && identity.name.eq_ignore_ascii_case(name))
    }
}

#[async_trait]
impl IdentitySource for Configured {
    /// None of them has temporary credentials, so a token belongs to none.
    async fn by_access_key(&self, access_key: &str, token: Option<&str>) -> Result<Arc<Identity>, IdentityError> {
        let identity = self.access_key(access_key).ok_or(IdentityError::UnknownAccessKey)?;
        if token.is_some() { Err(IdentityError::InvalidToken) } else { Ok(identity) }
    }

    async fn by_name(&self, name: &str) -> Result<Option<Arc<Identity>>, IdentityError> {
        Ok(self.name(name))
    }

    async fn is_owner(&self, owner: &str) -> Result<bool, IdentityError> {
        Ok(self.by_name.values().any(|identity| identity.owner() == owner))
    }

    fn note_use(&self, _: &str, _: &str, _: &str) {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{PolicySet, ROOT_NAME, SecretKey};

    fn secret() -> SecretKey {
        SecretKey::new("long enough".to_owned()).unwrap()
    }

    fn root() -> Identity {
        Identity::root("admin", secret()).unwrap()
    }

    fn user(name: &str, access_key: &str) -> Identity {
        Identity::user(name, access_key, secret(), PolicySet::default()).unwrap()
    }

    #[test]
    fn an_identity_is_found_by_its_access_key_and_by_no_other() {
        let identities = Configured::new(root(), vec![user("alice", "AKALICE")]).unwrap();
        assert_eq!(identities.access_key("AKALICE").unwrap().name, "alice");
        assert!(!identities.access_key("AKALICE").unwrap().is_root());
        assert!(identities.access_key("admin").unwrap().is_root());
        assert!(identities.access_key("akalice").is_none());
        assert!(identities.access_key("").is_none());
    }

    #[test]
    fn an_identity_is_found_by_its_name_as_well() {
        let identities = Configured::new(root(), vec![user("alice", "AKALICE")]).unwrap();
        assert_eq!(identities.name("alice").unwrap().access_key, "AKALICE");
        assert!(identities.name(ROOT_NAME).unwrap().is_root());
        assert!(identities.name("AKALICE").is_none() && identities.name("").is_none());
    }

    #[test]
    fn two_identities_never_share_an_access_key_or_a_name() {
        let shared = Configured::new(root(), vec![user("alice", "admin")]).err();
        assert!(matches!(shared, Some(AccessError::DuplicateAccessKey { first, second }) if first == "root" && second == "alice"));
        let shared = Configured::new(root(), vec![user("alice", "AK1"), user("alice", "AK2")]).err();
        assert!(matches!(shared, Some(AccessError::DuplicateName(name)) if name == "alice"));
    }
}
