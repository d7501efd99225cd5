//! What an identity is made of: its record, its groups, and the policies of all of these.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use strongroom_access::{AccessError, Identity, MAIN_ACCOUNT, Policy, Principal, Resolved, SecretKey};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use super::compiled::{Compiled, Source};
use crate::{
    IamError, builtin,
    directory::{Directory, Seen},
    model::{Account, Group, ManagedPolicy, Policies, PolicyRef, Role, Tag, User},
    sts::{Session, web_identity::with_short_names},
};

/// An identity on its way.
pub(super) struct Parts {
    principal: Principal,
    account: String,
    user_id: String,
    tags: Vec<Tag>,
    claims: Vec<(String, Vec<String>)>,
    source_identity: Option<String>,
    policies: Vec<Arc<Policy>>,
    boundary: Option<Arc<Policy>>,
    session: Vec<Arc<Policy>>,
    issued: Option<UnixMillis>,
    pub(super) made_of: Vec<Revision>,
    /// As [`Known::weight_bytes`](super::cache::Known).
    pub(super) weight_bytes: usize,
}

/// An entity, and its revision; none where it is not there.
type Revision = (EntityName, Option<u64>);

/// About so much memory a byte of a document takes when it is compiled.
const BYTES_OF_A_BYTE: usize = 24;
/// And an identity without policies.
const BYTES_OF_AN_IDENTITY: usize = 2048;

impl Parts {
    pub(super) async fn of_user(directory: &Directory, compiled: &Compiled, account: &str, user: Seen<User>) -> Result<Self, IamError> {
        let made_of = vec![(user.name.clone(), Some(user.revision))];
        let User { name, id, path, tags, groups, policies, boundary, .. } = user.record;
        let principal = Principal::User { path, name };
        let mut parts = Self::new(principal, account, id, tags.iter().cloned().collect(), made_of);
        let mut holders = vec![(parts.made_of[0].clone(), policies)];
        for (group, found) in groups.iter().zip(directory.find_all::<Group>(account, &groups).await?) {
            // A group with members is not deleted, so there always is one; without it there could be a Deny less.
            let Seen { record, name, revision } = found.ok_or_else(|| lost("group", group))?;
            parts.made_of.push((name.clone(), Some(revision)));
            if record.enabled {
                holders.push(((name, Some(revision)), record.policies));
            }
        }
        parts.collect(directory, compiled, holders, boundary).await?;
        Ok(parts)
    }

    /// Root of an account of the store, whom no policy limits in it.
    pub(super) fn of_root(account: Seen<Account>) -> Self {
        let id = account.record.id;
        Self::new(Principal::Root, &id, id.clone(), Vec::new(), vec![(account.name, Some(account.revision))])
    }

    pub(super) async fn of_role(
        directory: &Directory,
        compiled: &Compiled,
        account: &str,
        role: Seen<Role>,
        session: &str,
    ) -> Result<Self, IamError> {
        let made_of = vec![(role.name.clone(), Some(role.revision))];
        let Role { name, id, tags, policies, boundary, path, .. } = role.record;
        let principal = Principal::AssumedRole { path, role: name, session: session.to_owned() };
        let mut parts = Self::new(principal, account, format!("{id}:{session}"), tags.iter().cloned().collect(), made_of);
        let holder = parts.made_of[0].clone();
        parts.collect(directory, compiled, vec![(holder, policies)], boundary).await?;
        Ok(parts)
    }

    fn new(principal: Principal, account: &str, user_id: String, tags: Vec<Tag>, made_of: Vec<Revision>) -> Self {
        Self {
            principal,
            account: account.to_owned(),
            user_id,
            tags,
            claims: Vec::new(),
            policies: Vec::new(),
            boundary: None,
            session: Vec::new(),
            source_identity: None,
            issued: None,
            made_of,
            weight_bytes: BYTES_OF_AN_IDENTITY,
        }
    }

    /// Compiles the policies of the holders, and the boundary.
    async fn collect(
        &mut self,
        directory: &Directory,
        compiled: &Compiled,
        holders: Vec<(Revision, Policies)>,
        boundary: Option<PolicyRef>,
    ) -> Result<(), IamError> {
        let attached = holders.iter().flat_map(|(_, of)| &of.attached).chain(&boundary);
        let names: BTreeSet<String> =
            attached.filter(|policy| matches!(policy, PolicyRef::OfAccount(_))).map(|policy| policy.name().to_owned()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let mut managed: HashMap<String, (Source, String)> = HashMap::new();
        for (name, found) in names.iter().zip(directory.find_all::<ManagedPolicy>(&self.account, &names).await?) {
            // What refers to a policy keeps it from being deleted, so there always is one.
            let Seen { record, name: entity, revision } = found.ok_or_else(|| lost("policy", name))?;
            self.made_of.push((entity.clone(), Some(revision)));
            let version = record.default().ok_or_else(|| lost("default version of the policy", name))?;
            managed.insert(name.clone(), ((entity, revision, version.id()), version.document.clone()));
        }
        let document_of = |policy: &PolicyRef| match policy {
            PolicyRef::BuiltIn(name) => {
                let document = builtin::find(name).ok_or_else(|| lost("policy of the server", name))?;
                let entity = EntityName { kind: EntityKind::Policy, account: "aws".to_owned(), name: name.clone() };
                Ok(((entity, 0, String::new()), document.to_owned()))
            }
            PolicyRef::OfAccount(_) => managed.get(policy.name()).cloned().ok_or_else(|| lost("policy", policy.name())),
        };
        let mut documents = Vec::new();
        for ((entity, revision), holder) in &holders {
            for (name, document) in &holder.inline {
                documents.push(((entity.clone(), revision.unwrap_or_default(), name.clone()), document.clone()));
            }
            for policy in &holder.attached {
                documents.push(document_of(policy)?);
            }
        }
        let bounds = boundary.as_ref().map(document_of).transpose()?;
        let has_boundary = bounds.is_some();
        documents.extend(bounds);
        self.weight_bytes += documents.iter().map(|(_, document)| document.len() * BYTES_OF_A_BYTE).sum::<usize>();
        self.policies = compiled.of(documents).await?;
        self.boundary = if has_boundary { self.policies.pop() } else { None };
        Ok(())
    }

    /// Bounds what the policies allow.
    pub(super) fn bound_session(&mut self, document: &str) -> Result<(), AccessError> {
        self.weight_bytes += document.len() * BYTES_OF_A_BYTE;
        self.session.push(Arc::new(Policy::parse(document)?));
        Ok(())
    }

    pub(super) fn of_session(&mut self, session: &Session) -> Result<(), AccessError> {
        self.issued = Some(session.issued);
        self.source_identity.clone_from(&session.source_identity);
        session.policies.iter().try_for_each(|document| self.bound_session(document))?;
        for (key, value) in &session.tags {
            self.tags.retain(|(other, _)| !other.eq_ignore_ascii_case(key));
            self.tags.push((key.clone(), value.clone()));
        }
        self.claims = with_short_names(&session.claims);
        Ok(())
    }

    pub(super) fn identity(&mut self, access_key: &str, secret: SecretKey) -> Result<Identity, AccessError> {
        let name = name_of(&self.account, &self.principal);
        // Who has less than the user must not be taken for it where a job looks its starter up.
        let is_less = self.issued.is_some() || !self.session.is_empty();
        Identity::resolved(Resolved {
            name: if is_less { format!("{name}/{access_key}") } else { name },
            principal: self.principal.clone(),
            account: self.account.clone(),
            access_key: access_key.to_owned(),
            secret,
            user_id: self.user_id.clone(),
            tags: std::mem::take(&mut self.tags),
            claims: std::mem::take(&mut self.claims),
            source_identity: self.source_identity.take(),
            token_issued_at: self.issued.map(|issued| issued.div_euclid(1000)),
            policies: std::mem::take(&mut self.policies),
            boundary: self.boundary.take(),
            session: std::mem::take(&mut self.session),
        })
    }
}

/// What stands between an account and a name in it.
const OF_ACCOUNT: char = ':';

/// What the audit log and jobs call an identity: unique among all accounts.
fn name_of(account: &str, principal: &Principal) -> String {
    let name = match principal {
        Principal::User { name, .. } | Principal::FederatedUser { name } => name.clone(),
        Principal::AssumedRole { role, session, .. } => format!("assumed-role/{role}/{session}"),
        Principal::Root => "root".to_owned(),
        Principal::VouchedFor { .. } | Principal::Anonymous => String::new(),
    };
    if account == MAIN_ACCOUNT { name } else { format!("{account}{OF_ACCOUNT}{name}") }
}

/// The account and the name of the user that is called so.
pub(super) fn user_of(called: &str) -> (&str, &str) {
    called.split_once(OF_ACCOUNT).unwrap_or((MAIN_ACCOUNT, called))
}

fn lost(what: &str, name: &str) -> IamError {
    IamError::Internal(format!("the {what} {name} is referred to and not there: restore the catalog from a backup").into())
}
