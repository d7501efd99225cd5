//! Whatever is called in whatever order, the answers and the rights of each access key are those of a simple model.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use strongroom_access::{Action, Conditions, Configured, Decision, Identity, IdentitySource, SecretKey, arn};
use strongroom_audit::{AuditLog, LogConfig, SigningKey};
use strongroom_catalog::{Clock, testing::MemoryCatalog};
use strongroom_iam::{Caller, Iam, IamParts, Params, Service};
use strongroom_seal::StoreKey;
use strongroom_sso::{ProviderOptions, Providers};
use zeroize::Zeroizing;

const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#;

/// Who holds a policy: a user or a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    User(u8),
    Group(u8),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    CreateUser(u8),
    DeleteUser(u8),
    CreateKey(u8),
    /// The key of that place among all there ever were.
    SetKey(u8, bool),
    DeleteKey(u8),
    CreateGroup(u8),
    DeleteGroup(u8),
    Join(u8, u8),
    Leave(u8, u8),
    Put(Holder, bool),
    Remove(Holder, bool),
    CreatePolicy(bool),
    DeletePolicy(bool),
    Attach(Holder, bool),
    Detach(Holder, bool),
    Bound(u8, Option<bool>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let holder = || prop_oneof![(0..3u8).prop_map(Holder::User), (0..2u8).prop_map(Holder::Group)];
    let step = prop_oneof![
        (0..3u8).prop_map(Step::CreateUser),
        (0..3u8).prop_map(Step::DeleteUser),
        (0..3u8).prop_map(Step::CreateKey),
        (0..3u8).prop_map(Step::CreateKey),
        (0..6u8, any::<bool>()).prop_map(|(key, on)| Step::SetKey(key, on)),
        (0..6u8).prop_map(Step::DeleteKey),
        (0..2u8).prop_map(Step::CreateGroup),
        (0..2u8).prop_map(Step::DeleteGroup),
        (0..3u8, 0..2u8).prop_map(|(user, group)| Step::Join(user, group)),
        (0..3u8, 0..2u8).prop_map(|(user, group)| Step::Leave(user, group)),
        (holder(), any::<bool>()).prop_map(|(holder, allows)| Step::Put(holder, allows)),
        (holder(), any::<bool>()).prop_map(|(holder, allows)| Step::Remove(holder, allows)),
        any::<bool>().prop_map(Step::CreatePolicy),
        any::<bool>().prop_map(Step::DeletePolicy),
        (holder(), any::<bool>()).prop_map(|(holder, allows)| Step::Attach(holder, allows)),
        (holder(), any::<bool>()).prop_map(|(holder, allows)| Step::Detach(holder, allows)),
        (0..3u8, any::<Option<bool>>()).prop_map(|(user, policy)| Step::Bound(user, policy)),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What there is, and what refers to what.
#[derive(Default)]
struct Model {
    users: BTreeSet<u8>,
    groups: BTreeSet<u8>,
    /// Managed policies by whether they allow or deny.
    policies: BTreeSet<bool>,
    members: BTreeSet<(u8, u8)>,
    inline: BTreeSet<(Holder, bool)>,
    attached: BTreeSet<(Holder, bool)>,
    bounds: BTreeMap<u8, bool>,
    /// Every key there ever was: its id, whose it is, and whether it works; none where it is gone.
    keys: Vec<(String, u8, Option<bool>)>,
}

impl Model {
    fn is_there(&self, holder: Holder) -> bool {
        match holder {
            Holder::User(user) => self.users.contains(&user),
            Holder::Group(group) => self.groups.contains(&group),
        }
    }

    fn holds_any(&self, holder: Holder) -> bool {
        self.inline.iter().chain(&self.attached).any(|(of, _)| *of == holder)
    }

    /// The code of the answer, empty where it is done.
    fn step(&mut self, step: Step) -> &'static str {
        match step {
            Step::CreateUser(user) => code(self.users.insert(user), "EntityAlreadyExists"),
            Step::CreateGroup(group) => code(self.groups.insert(group), "EntityAlreadyExists"),
            Step::CreatePolicy(allows) => code(self.policies.insert(allows), "EntityAlreadyExists"),
            Step::DeleteUser(user) if !self.users.contains(&user) => "NoSuchEntity",
            Step::DeleteUser(user) => {
                let has_keys = self.keys.iter().any(|(_, of, works)| *of == user && works.is_some());
                let is_member = self.members.iter().any(|(member, _)| *member == user);
                if has_keys || is_member || self.holds_any(Holder::User(user)) {
                    return "DeleteConflict";
                }
                self.users.remove(&user);
                self.bounds.remove(&user);
                ""
            }
            Step::DeleteGroup(group) if !self.groups.contains(&group) => "NoSuchEntity",
            Step::DeleteGroup(group) => {
                if self.members.iter().any(|(_, of)| *of == group) || self.holds_any(Holder::Group(group)) {
                    return "DeleteConflict";
                }
                self.groups.remove(&group);
                ""
            }
            Step::DeletePolicy(allows) if !self.policies.contains(&allows) => "NoSuchEntity",
            Step::DeletePolicy(allows) => {
                if self.attached.iter().any(|(_, of)| *of == allows) || self.bounds.values().any(|of| *of == allows) {
                    return "DeleteConflict";
                }
                self.policies.remove(&allows);
                ""
            }
            Step::CreateKey(user) if !self.users.contains(&user) => "NoSuchEntity",
            Step::CreateKey(user) => {
                let present = self.keys.iter().filter(|(_, of, works)| *of == user && works.is_some()).count();
                code(present < 2, "LimitExceeded")
            }
            Step::SetKey(key, on) => match self.keys.get_mut(usize::from(key)) {
                Some((_, _, Some(works))) => {
                    *works = on;
                    ""
                }
                _ => "NoSuchEntity",
            },
            Step::DeleteKey(key) => match self.keys.get_mut(usize::from(key)) {
                Some((_, _, works @ Some(_))) => {
                    *works = None;
                    ""
                }
                _ => "NoSuchEntity",
            },
            Step::Join(user, group) | Step::Leave(user, group) if !self.groups.contains(&group) || !self.users.contains(&user) => {
                "NoSuchEntity"
            }
            Step::Join(user, group) => {
                self.members.insert((user, group));
                ""
            }
            Step::Leave(user, group) => {
                self.members.remove(&(user, group));
                ""
            }
            Step::Put(holder, _) | Step::Remove(holder, _) | Step::Detach(holder, _) if !self.is_there(holder) => "NoSuchEntity",
            Step::Put(holder, allows) => {
                self.inline.insert((holder, allows));
                ""
            }
            Step::Remove(holder, allows) => code(self.inline.remove(&(holder, allows)), "NoSuchEntity"),
            Step::Attach(holder, allows) if !self.is_there(holder) || !self.policies.contains(&allows) => "NoSuchEntity",
            Step::Attach(holder, allows) => {
                self.attached.insert((holder, allows));
                ""
            }
            Step::Detach(holder, allows) => code(self.attached.remove(&(holder, allows)), "NoSuchEntity"),
            Step::Bound(user, policy) if !self.users.contains(&user) || policy.is_some_and(|policy| !self.policies.contains(&policy)) => {
                "NoSuchEntity"
            }
            Step::Bound(user, policy) => {
                match policy {
                    Some(policy) => self.bounds.insert(user, policy),
                    None => self.bounds.remove(&user),
                };
                ""
            }
        }
    }

    /// Whether a key of the user may list buckets.
    fn may(&self, user: u8) -> bool {
        let groups = self.members.iter().filter(|(member, _)| *member == user).map(|(_, group)| Holder::Group(*group));
        let holders: BTreeSet<_> = groups.chain([Holder::User(user)]).collect();
        let held = |allows| self.inline.iter().chain(&self.attached).any(|(holder, of)| holders.contains(holder) && *of == allows);
        let bound = self.bounds.get(&user);
        held(true) && !held(false) && bound.is_none_or(|allows| *allows)
    }
}

fn code(is_done: bool, otherwise: &'static str) -> &'static str {
    if is_done { "" } else { otherwise }
}

/// Identity management over a catalog in memory.
struct Rig {
    iam: Arc<Iam>,
    root: Arc<Identity>,
    _home: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed(Zeroizing::new([7; 32])).unwrap();
        let (audit, _) =
            AuditLog::open(LogConfig { flush_millis: 0, ..LogConfig::new(home.path().join("audit")) }, key, None).await.unwrap();
        let root = || Identity::root("admin", SecretKey::new("a long secret".to_owned()).unwrap()).unwrap();
        let iam = Iam::new(IamParts {
            catalog: Arc::new(MemoryCatalog::new(Clock::default())),
            store_key: Arc::new(StoreKey::generate().unwrap()),
            configured: Configured::new(root(), Vec::new()).unwrap(),
            audit: Arc::new(audit),
            clock: Clock::default(),
            providers: Providers::new(&ProviderOptions::default()).unwrap(),
        });
        Self { iam, root: Arc::new(root()), _home: home }
    }

    /// The code of a call's answer, and its body.
    async fn call(&self, name: &str, parameters: &[(&str, &str)]) -> (String, String) {
        let action = [("Action", name)];
        let parameters = parameters.iter().chain(&action).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let caller = Caller {
            identity: Arc::clone(&self.root),
            request_id: "1".to_owned(),
            peer: None,
            secure: true,
            conditions: Conditions::new(true),
        };
        let answer = self.iam.answer(Some(Service::Iam), &Params::new(parameters.collect()).unwrap(), &caller).await;
        (answer.code.to_owned(), answer.body)
    }

    async fn step(&self, model: &mut Model, step: Step) -> String {
        let (user, group) = (|number: u8| format!("user-{number}"), |number: u8| format!("group-{number}"));
        let document = |allows| if allows { ALLOW } else { DENY };
        let policy = |allows| if allows { "allow" } else { "deny" };
        let policy_arn = |allows| arn::policy("000000000000", "/", policy(allows));
        let of = |holder| match holder {
            Holder::User(number) => ("User", "UserName", user(number)),
            Holder::Group(number) => ("Group", "GroupName", group(number)),
        };
        let owner = |key: u8| model.keys.get(usize::from(key)).map(|(id, of, _)| (id.clone(), *of));
        let (code, body) = match step {
            Step::CreateUser(number) => self.call("CreateUser", &[("UserName", &user(number))]).await,
            Step::DeleteUser(number) => self.call("DeleteUser", &[("UserName", &user(number))]).await,
            Step::CreateKey(number) => self.call("CreateAccessKey", &[("UserName", &user(number))]).await,
            Step::SetKey(key, on) => {
                let (id, of) = owner(key).unwrap_or(("AKIANONE".to_owned(), 0));
                let status = if on { "Active" } else { "Inactive" };
                self.call("UpdateAccessKey", &[("UserName", &user(of)), ("AccessKeyId", &id), ("Status", status)]).await
            }
            Step::DeleteKey(key) => {
                let (id, of) = owner(key).unwrap_or(("AKIANONE".to_owned(), 0));
                self.call("DeleteAccessKey", &[("UserName", &user(of)), ("AccessKeyId", &id)]).await
            }
            Step::CreateGroup(number) => self.call("CreateGroup", &[("GroupName", &group(number))]).await,
            Step::DeleteGroup(number) => self.call("DeleteGroup", &[("GroupName", &group(number))]).await,
            Step::Join(member, number) => self.call("AddUserToGroup", &[("UserName", &user(member)), ("GroupName", &group(number))]).await,
            Step::Leave(member, number) => {
                self.call("RemoveUserFromGroup", &[("UserName", &user(member)), ("GroupName", &group(number))]).await
            }
            Step::Put(holder, allows) => {
                let (kind, parameter, name) = of(holder);
                let parameters = [(parameter, name.as_str()), ("PolicyName", policy(allows)), ("PolicyDocument", document(allows))];
                self.call(&format!("Put{kind}Policy"), &parameters).await
            }
            Step::Remove(holder, allows) => {
                let (kind, parameter, name) = of(holder);
                self.call(&format!("Delete{kind}Policy"), &[(parameter, &name), ("PolicyName", policy(allows))]).await
            }
            Step::CreatePolicy(allows) => {
                self.call("CreatePolicy", &[("PolicyName", policy(allows)), ("PolicyDocument", document(allows))]).await
            }
            Step::DeletePolicy(allows) => self.call("DeletePolicy", &[("PolicyArn", &policy_arn(allows))]).await,
            Step::Attach(holder, allows) => {
                let (kind, parameter, name) = of(holder);
                self.call(&format!("Attach{kind}Policy"), &[(parameter, &name), ("PolicyArn", &policy_arn(allows))]).await
            }
            Step::Detach(holder, allows) => {
                let (kind, parameter, name) = of(holder);
                self.call(&format!("Detach{kind}Policy"), &[(parameter, &name), ("PolicyArn", &policy_arn(allows))]).await
            }
            Step::Bound(number, Some(allows)) => {
                let parameters = [("UserName", &*user(number)), ("PermissionsBoundary", &*policy_arn(allows))];
                self.call("PutUserPermissionsBoundary", &parameters).await
            }
            Step::Bound(number, None) => self.call("DeleteUserPermissionsBoundary", &[("UserName", &user(number))]).await,
        };
        if let Step::CreateKey(number) = step
            && code.is_empty()
        {
            let id = body.split("<AccessKeyId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
            model.keys.push((id, number, Some(true)));
        }
        code
    }

    /// Whether the key resolves, and if so, whether it may list buckets.
    async fn may(&self, access_key: &str) -> Option<bool> {
        let identity = self.iam.by_access_key(access_key, None).await.ok()?;
        Some(identity.may(Action::ListAllMyBuckets, arn::ALL_BUCKETS, &Conditions::new(true)) == Decision::Allow)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn answers_and_rights_are_those_of_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (rig, mut model) = (Rig::new().await, Model::default());
            for step in steps {
                let expected = model.step(step);
                prop_assert_eq!(rig.step(&mut model, step).await, expected, "{:?}", step);
                for (access_key, user, works) in &model.keys {
                    let may = works.filter(|works| *works).map(|_| model.may(*user));
                    prop_assert_eq!(rig.may(access_key).await, may, "{:?} {}", step, access_key);
                }
            }
            Ok(())
        })?;
    }
}
