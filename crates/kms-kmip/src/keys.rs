//! Keys as objects on the server: the first version of a key is named by prefix and key id, the n-th `<prefix><id>#<n>`, and all of them
//! are in the Object Group of the first one's name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_kms::{KmsError, resolve_key_id};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::client::Client;
use crate::fault::{Fault, Reason};
use crate::operations::{self, Attributes, By, Operation, State};

/// The most versions of a key.
pub(crate) const MAX_VERSIONS: u32 = 1000;
/// How many objects one Locate asks for.
const LOCATE_ITEMS: i32 = 500;
/// The most AES keys of the account that are looked at for a list.
const MAX_OBJECTS: usize = 100_000;
/// How many objects' names are remembered.
const MAX_REMEMBERED: usize = 20_000;

/// A key's id and the name of its first version.
#[derive(Clone)]
pub(crate) struct KeyName {
    pub(crate) id: String,
    label: String,
}

/// One version of a key.
pub(crate) struct Version {
    pub(crate) uid: String,
    pub(crate) state: State,
    pub(crate) created: OffsetDateTime,
}

/// The keys on a server that have our prefix.
pub(crate) struct Keys {
    prefix: String,
    pub(crate) client: Client,
    /// Names do not change, so remembering them spares questions.
    known: Mutex<Known>,
}

/// Key id and number of a version.
type Identity = (String, u32);

#[derive(Default)]
struct Known {
    /// None: not one of ours.
    by_uid: HashMap<String, Option<Identity>>,
    by_identity: HashMap<Identity, String>,
}

impl KeyName {
    fn version(&self, number: u32) -> String {
        if number == 1 { self.label.clone() } else { format!("{}#{number}", self.label) }
    }
}

impl Keys {
    pub(crate) fn new(prefix: String, client: Client) -> Self {
        Self { prefix, client, known: Mutex::default() }
    }

    pub(crate) fn key_name(&self, id: &str) -> KeyName {
        KeyName { id: id.to_owned(), label: format!("{}{id}", self.prefix) }
    }

    /// Unique identifiers of the key's versions by number, whatever their states. Empty if there is no such key.
    pub(crate) async fn uids(&self, key: &KeyName) -> Result<BTreeMap<u32, String>, Fault> {
        let mut uids = self.located(By::Group(&key.label)).await?;
        // A first version that was made with other tools is in no group.
        uids.extend(self.located(By::Name(&key.label)).await?);
        let mut versions = BTreeMap::new();
        for uid in uids.into_iter().collect::<HashSet<_>>() {
            let Some((id, version)) = self.identify(&uid).await? else { continue };
            if id == key.id && versions.insert(version, uid).is_some() {
                let name = key.version(version);
                return Err(
                    KmsError::Broken(format!("the KMIP server has two keys named {name:?}: remove the one that is not in use")).into()
                );
            }
        }
        Ok(versions)
    }

    /// The unique identifier of one version, if there is one.
    pub(crate) async fn uid_of(&self, key: &KeyName, number: u32) -> Result<Option<String>, Fault> {
        let wanted = (key.id.clone(), number);
        let known = self.known().by_identity.get(&wanted).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let name = key.version(number);
        let located = self.located(By::Name(&name)).await?;
        let mut found = Vec::new();
        for uid in located {
            if self.identify(&uid).await?.as_ref() == Some(&wanted) {
                found.push(uid);
            }
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(KmsError::Broken(format!("the KMIP server has two keys named {name:?}: remove the one that is not in use")).into()),
        }
    }

    /// Every version with what is known of it. Empty if there is no such key.
    pub(crate) async fn versions(&self, key: &KeyName) -> Result<BTreeMap<u32, Version>, Fault> {
        let mut versions = BTreeMap::new();
        for (number, uid) in self.uids(key).await? {
            if let Some(Attributes { names: _, state, created }) = self.attributes(&uid).await? {
                versions.insert(number, Version { uid, state, created });
            }
        }
        Ok(versions)
    }

    /// The ids of all keys, each once, in order.
    pub(crate) async fn ids(&self) -> Result<Vec<String>, Fault> {
        let mut ids = Vec::new();
        for uid in self.located(By::Algorithm).await? {
            ids.extend(self.identify(&uid).await?.map(|(id, _)| id));
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// The state of an object, or none if the server does not know it any more.
    pub(crate) async fn state(&self, uid: &str) -> Result<Option<State>, Fault> {
        Ok(self.attributes(uid).await?.map(|attributes| attributes.state))
    }

    /// Makes and activates a version, of the material if it is given. If the server is lost in between, the version stays Pre-Active, which
    /// nothing uses.
    pub(crate) async fn make(&self, key: &KeyName, number: u32, material: Option<&Zeroizing<Vec<u8>>>) -> Result<(), Fault> {
        let (name, group) = (key.version(number), &key.label);
        let made = match material {
            Some(material) => operations::register(&self.client, &name, group, material).await,
            None => operations::create(&self.client, &name, group).await,
        };
        let uid = made.map_err(|fault| match fault {
            Fault::Refused { operation: Operation::Create | Operation::Register, reason: Reason::OBJECT_ALREADY_EXISTS } => made_twice(key),
            fault => fault,
        })?;
        // Another server may have made the same one at the same time. Nobody can have used this one: it is not active.
        if self.located(By::Name(&name)).await?.len() > 1 {
            operations::destroy(&self.client, &uid).await?;
            return Err(made_twice(key));
        }
        operations::activate(&self.client, &uid).await
    }

    /// Destroys a version.
    pub(crate) async fn destroy(&self, version: &Version) -> Result<(), Fault> {
        if version.state == State::Active {
            operations::revoke(&self.client, &version.uid).await?;
        }
        if version.state != State::Destroyed {
            operations::destroy(&self.client, &version.uid).await?;
        }
        self.forget(&version.uid);
        Ok(())
    }

    /// The object is not what it was.
    pub(crate) fn forget(&self, uid: &str) {
        let mut known = self.known();
        if let Some(Some(identity)) = known.by_uid.remove(uid) {
            known.by_identity.remove(&identity);
        }
    }

    /// What an object is, if it is one of ours.
    async fn identify(&self, uid: &str) -> Result<Option<Identity>, Fault> {
        if let Some(known) = self.known().by_uid.get(uid) {
            return Ok(known.clone());
        }
        let Some(attributes) = operations::attributes(&self.client, uid).await? else { return Ok(None) };
        let identity = attributes.names.iter().find_map(|name| parse_name(name, &self.prefix));
        self.known().remember(uid, identity.clone());
        Ok(identity)
    }

    async fn attributes(&self, uid: &str) -> Result<Option<Attributes>, Fault> {
        let attributes = operations::attributes(&self.client, uid).await?;
        if attributes.is_none() {
            self.forget(uid);
        }
        Ok(attributes)
    }

    /// All that Locate finds, page by page. A server that knows no offsets gives the same page again.
    async fn located(&self, by: By<'_>) -> Result<Vec<String>, Fault> {
        let (mut uids, mut seen) = (Vec::new(), HashSet::new());
        loop {
            let offset = i32::try_from(uids.len()).unwrap_or(i32::MAX);
            let page = operations::locate(&self.client, by, offset, LOCATE_ITEMS).await?;
            let is_full = i32::try_from(page.len()).is_ok_and(|len| len >= LOCATE_ITEMS);
            let before = uids.len();
            uids.extend(page.into_iter().filter(|uid| seen.insert(uid.clone())));
            if !is_full || uids.len() == before {
                return Ok(uids);
            }
            if uids.len() > MAX_OBJECTS {
                return Err(KmsError::Broken(format!("the account on the KMIP server has more than {MAX_OBJECTS} AES keys")).into());
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, uid: &str, identity: Option<Identity>) {
        if self.by_uid.len() >= MAX_REMEMBERED {
            *self = Self::default();
        }
        if let Some(identity) = &identity {
            self.by_identity.insert(identity.clone(), uid.to_owned());
        }
        self.by_uid.insert(uid.to_owned(), identity);
    }
}

fn made_twice(key: &KeyName) -> Fault {
    KmsError::Conflict(format!("another server makes the key {} at the same time; try again", key.id)).into()
}

/// Key id and version behind the name of an object.
fn parse_name(name: &str, prefix: &str) -> Option<Identity> {
    let rest = name.strip_prefix(prefix)?;
    let (id, version) = match rest.split_once('#') {
        None => (rest, 1),
        Some((id, number)) => (id, number.parse().ok().filter(|version: &u32| *version > 1 && number == version.to_string())?),
    };
    (resolve_key_id(id).ok()? == id).then(|| (id.to_owned(), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_key_and_version() {
        assert_eq!(parse_name("a", ""), Some(("a".to_owned(), 1)));
        assert_eq!(parse_name("s3/a.b#12", "s3/"), Some(("a.b".to_owned(), 12)));
        for foreign in ["s3/a", "a#1", "a#0", "a#02", "a#+2", "a#", "a#2#3", "a b", "", "#2"] {
            assert_eq!(parse_name(foreign, ""), None, "{foreign}");
        }
        assert_eq!(parse_name("a", "s3/"), None);
    }
}
