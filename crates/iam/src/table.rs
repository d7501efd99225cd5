//! The table of all calls: what a call is named, who may make it, what it is about, what it leaves behind, and what does it.

use std::{future::Future, pin::Pin};

use serde_json::Value;
use strongroom_access::{Action, arn};

use crate::{
    IamError,
    call::Call,
    calls::{
        absent, account, accounts, described, details, groups, holders, keys, page, policies, providers, roles, service_accounts, users,
    },
    model::{Group, ManagedPolicy, PolicyRef, Provider, Role, Tag, Tags, User},
    name, sts,
};

/// The service that a call belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Identity and Access Management.
    Iam,
    /// Security Token Service.
    Sts,
    /// This server's own calls. They are none of the query protocol.
    Strongroom,
}

impl Service {
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::Strongroom => "",
        }
    }

    /// As signatures name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
            Self::Strongroom => "strongroom",
        }
    }
}

/// What a call leaves behind, and so whether it is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Changes,
}

/// The resource that the right is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// The account as a whole.
    Account,
    /// The user named, else the caller.
    User,
    /// A user, group, role or policy that is about to be created, in the path given.
    NewUser,
    NewGroup,
    NewRole,
    NewPolicy,
    Group,
    /// The user or the group named, and what it becomes: its new name could be one that policies speak of.
    RenamedUser,
    RenamedGroup,
    Role,
    Policy,
    /// `Url`
    NewProvider,
    Provider,
    /// The user whose access key it is.
    KeyOwner,
    /// Those below `PathPrefix`, which are to be listed.
    Users,
    Groups,
    Roles,
    Policies,
    Providers,
    /// The store as a whole.
    Store,
    /// Nothing: the call itself decides who may.
    ItsOwn,
    /// As that, and nobody signs: what the call brings along says who asks.
    Vouched,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Value, IamError>> + Send + 'a>>;
pub(crate) type Handler = for<'a> fn(&'a Call<'a>) -> Running<'a>;

/// A row.
pub(crate) struct Row {
    pub(crate) service: Service,
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    pub(crate) on: On,
    pub(crate) effect: Effect,
    /// Whether it is made without a signature.
    pub(crate) is_unsigned: bool,
    pub(crate) run: Handler,
}

impl Row {
    /// Whether no policy of the caller is asked first: anybody may make the call.
    pub(crate) fn decides_itself(&self) -> bool {
        matches!(self.on, On::ItsOwn | On::Vouched)
    }
}

macro_rules! rows {
    ($($name:ident $service:ident $effect:ident $on:ident => $handler:expr;)*) => {
        /// Every call there is.
        pub(crate) const ROWS: &[Row] = &[$(Row {
            service: Service::$service,
            name: stringify!($name),
            action: Action::$name,
            on: On::$on,
            effect: Effect::$effect,
            is_unsigned: matches!(On::$on, On::Vouched),
            run: |call| Box::pin($handler(call)),
        },)*];
    };
}

/// Rows of this server's own calls: what they do has a name of their own, and the right of a call of AWS.
macro_rules! own_rows {
    ($($name:ident $effect:ident $on:ident as $action:ident => $handler:expr;)*) => {
        /// Calls beside those of AWS. The query protocol has none of them.
        pub(crate) const OWN_ROWS: &[Row] = &[$(Row {
            service: Service::Strongroom,
            name: stringify!($name),
            action: Action::$action,
            on: On::$on,
            effect: Effect::$effect,
            is_unsigned: false,
            run: |call| Box::pin($handler(call)),
        },)*];
    };
}

own_rows! {
    DescribeUsers Reads Users as ListUsers => described::users;
    DescribeUser Reads User as GetUser => described::user;
    DescribeGroup Reads Group as GetGroup => described::group;
    SetUserStatus Changes User as UpdateUser => described::set_user_status;
    SetGroupStatus Changes Group as UpdateGroup => described::set_group_status;
    PutAccessKey Changes User as CreateAccessKey => service_accounts::put_key;
    DescribeAccessKey Reads KeyOwner as ListAccessKeys => service_accounts::describe;
    CreateServiceAccount Changes User as CreateAccessKey => service_accounts::create;
    UpdateServiceAccount Changes KeyOwner as UpdateAccessKey => service_accounts::update;
    ListServiceAccounts Reads User as ListAccessKeys => service_accounts::list;
    DeleteServiceAccount Changes KeyOwner as DeleteAccessKey => service_accounts::delete;
    CreateAccount Changes Store as CreateAccount => accounts::create;
    GetAccount Reads Store as GetAccount => accounts::get;
    ListAccounts Reads Store as ListAccounts => accounts::list;
    DeleteAccount Changes Store as DeleteAccount => accounts::delete;
    CreateAccountKey Changes Store as CreateAccountKey => accounts::create_key;
    ListAccountKeys Reads Store as ListAccountKeys => accounts::list_keys;
    UpdateAccountKey Changes Store as UpdateAccountKey => accounts::update_key;
    DeleteAccountKey Changes Store as DeleteAccountKey => accounts::delete_key;
}

rows! {
    CreateUser Iam Changes NewUser => users::create;
    GetUser Iam Reads User => users::get;
    ListUsers Iam Reads Users => users::list;
    UpdateUser Iam Changes RenamedUser => users::update;
    DeleteUser Iam Changes User => users::delete;
    ListGroupsForUser Iam Reads User => users::groups;
    TagUser Iam Changes User => holders::tag::<User>;
    UntagUser Iam Changes User => holders::untag::<User>;
    ListUserTags Iam Reads User => holders::list_tags::<User>;
    PutUserPermissionsBoundary Iam Changes User => users::put_boundary;
    DeleteUserPermissionsBoundary Iam Changes User => users::delete_boundary;
    PutUserPolicy Iam Changes User => holders::put_policy::<User>;
    GetUserPolicy Iam Reads User => holders::get_policy::<User>;
    DeleteUserPolicy Iam Changes User => holders::delete_policy::<User>;
    ListUserPolicies Iam Reads User => holders::list_policies::<User>;
    AttachUserPolicy Iam Changes User => holders::attach::<User>;
    DetachUserPolicy Iam Changes User => holders::detach::<User>;
    ListAttachedUserPolicies Iam Reads User => holders::list_attached::<User>;

    CreateAccessKey Iam Changes User => keys::create;
    ListAccessKeys Iam Reads User => keys::list;
    UpdateAccessKey Iam Changes User => keys::update;
    DeleteAccessKey Iam Changes User => keys::delete;
    GetAccessKeyLastUsed Iam Reads KeyOwner => keys::last_used;

    CreateGroup Iam Changes NewGroup => groups::create;
    GetGroup Iam Reads Group => groups::get;
    ListGroups Iam Reads Groups => groups::list;
    UpdateGroup Iam Changes RenamedGroup => groups::update;
    DeleteGroup Iam Changes Group => groups::delete;
    AddUserToGroup Iam Changes Group => groups::add_user;
    RemoveUserFromGroup Iam Changes Group => groups::remove_user;
    PutGroupPolicy Iam Changes Group => holders::put_policy::<Group>;
    GetGroupPolicy Iam Reads Group => holders::get_policy::<Group>;
    DeleteGroupPolicy Iam Changes Group => holders::delete_policy::<Group>;
    ListGroupPolicies Iam Reads Group => holders::list_policies::<Group>;
    AttachGroupPolicy Iam Changes Group => holders::attach::<Group>;
    DetachGroupPolicy Iam Changes Group => holders::detach::<Group>;
    ListAttachedGroupPolicies Iam Reads Group => holders::list_attached::<Group>;

    CreateRole Iam Changes NewRole => roles::create;
    GetRole Iam Reads Role => roles::get;
    ListRoles Iam Reads Roles => roles::list;
    UpdateRole Iam Changes Role => roles::update;
    UpdateRoleDescription Iam Changes Role => roles::update_description;
    UpdateAssumeRolePolicy Iam Changes Role => roles::update_trust;
    DeleteRole Iam Changes Role => roles::delete;
    ListInstanceProfilesForRole Iam Reads Role => roles::instance_profiles;
    TagRole Iam Changes Role => holders::tag::<Role>;
    UntagRole Iam Changes Role => holders::untag::<Role>;
    ListRoleTags Iam Reads Role => holders::list_tags::<Role>;
    PutRolePermissionsBoundary Iam Changes Role => roles::put_boundary;
    DeleteRolePermissionsBoundary Iam Changes Role => roles::delete_boundary;
    PutRolePolicy Iam Changes Role => holders::put_policy::<Role>;
    GetRolePolicy Iam Reads Role => holders::get_policy::<Role>;
    DeleteRolePolicy Iam Changes Role => holders::delete_policy::<Role>;
    ListRolePolicies Iam Reads Role => holders::list_policies::<Role>;
    AttachRolePolicy Iam Changes Role => holders::attach::<Role>;
    DetachRolePolicy Iam Changes Role => holders::detach::<Role>;
    ListAttachedRolePolicies Iam Reads Role => holders::list_attached::<Role>;

    CreatePolicy Iam Changes NewPolicy => policies::create;
    GetPolicy Iam Reads Policy => policies::get;
    ListPolicies Iam Reads Policies => policies::list;
    DeletePolicy Iam Changes Policy => policies::delete;
    CreatePolicyVersion Iam Changes Policy => policies::create_version;
    GetPolicyVersion Iam Reads Policy => policies::get_version;
    ListPolicyVersions Iam Reads Policy => policies::list_versions;
    DeletePolicyVersion Iam Changes Policy => policies::delete_version;
    SetDefaultPolicyVersion Iam Changes Policy => policies::set_default_version;
    ListEntitiesForPolicy Iam Reads Policy => policies::entities;
    TagPolicy Iam Changes Policy => holders::tag::<ManagedPolicy>;
    UntagPolicy Iam Changes Policy => holders::untag::<ManagedPolicy>;
    ListPolicyTags Iam Reads Policy => holders::list_tags::<ManagedPolicy>;

    CreateOpenIDConnectProvider Iam Changes NewProvider => providers::create;
    GetOpenIDConnectProvider Iam Reads Provider => providers::get;
    ListOpenIDConnectProviders Iam Reads Providers => providers::list;
    DeleteOpenIDConnectProvider Iam Changes Provider => providers::delete;
    AddClientIDToOpenIDConnectProvider Iam Changes Provider => providers::add_client_id;
    RemoveClientIDFromOpenIDConnectProvider Iam Changes Provider => providers::remove_client_id;
    UpdateOpenIDConnectProviderThumbprint Iam Changes Provider => providers::update_thumbprints;
    TagOpenIDConnectProvider Iam Changes Provider => holders::tag::<Provider>;
    UntagOpenIDConnectProvider Iam Changes Provider => holders::untag::<Provider>;
    ListOpenIDConnectProviderTags Iam Reads Provider => holders::list_tags::<Provider>;

    GetAccountSummary Iam Reads Account => account::summary;
    GetAccountAuthorizationDetails Iam Reads Account => details::authorization;

    GetLoginProfile Iam Reads User => absent::login_profile;
    DeleteLoginProfile Iam Changes User => absent::login_profile;
    ListMFADevices Iam Reads User => absent::mfa_devices;
    ListSSHPublicKeys Iam Reads User => absent::ssh_public_keys;
    ListSigningCertificates Iam Reads User => absent::signing_certificates;
    ListServiceSpecificCredentials Iam Reads User => absent::service_specific_credentials;
    ListVirtualMFADevices Iam Reads Account => absent::virtual_mfa_devices;
    ListInstanceProfiles Iam Reads Account => absent::instance_profiles;
    ListServerCertificates Iam Reads Account => absent::server_certificates;
    ListSAMLProviders Iam Reads Account => absent::saml_providers;
    ListAccountAliases Iam Reads Account => absent::account_aliases;
    GetAccountPasswordPolicy Iam Reads Account => absent::password_policy;

    AssumeRole Sts Changes ItsOwn => sts::assume_role::assume_role;
    AssumeRoleWithWebIdentity Sts Changes Vouched => sts::web_identity::assume_role_with_web_identity;
    GetSessionToken Sts Changes ItsOwn => sts::session_token::get_session_token;
    GetCallerIdentity Sts Reads ItsOwn => sts::caller::get_caller_identity;
}

/// The row of the call of that name, of the query protocol.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// What a call is about, as policies see it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) arn: String,
    /// The same as the caller spells it, which tells nothing of the record.
    pub(crate) named: String,
    /// In which it is listed; of users and groups.
    path: String,
    /// `aws:ResourceTag/…`
    pub(crate) tags: Vec<Tag>,
    /// `iam:PermissionsBoundary`
    pub(crate) boundary: Option<PolicyRef>,
}

impl Target {
    fn new(arn: String) -> Self {
        Self { named: arn.clone(), arn, path: name::ROOT_PATH.to_owned(), tags: Vec::new(), boundary: None }
    }

    /// What is there, asked for by a name.
    fn found(arn: String, named: String, path: String, tags: &Tags, boundary: Option<PolicyRef>) -> Self {
        Self { arn, named, path, tags: tags.iter().cloned().collect(), boundary }
    }
}

impl On {
    /// The resource, by the name in its record however the client spells it: a policy that denies one spelling denies all. What is not there is
    /// asked for where it would be, so that who has no right learns nothing.
    pub(crate) async fn targets(self, call: &Call<'_>) -> Result<Vec<Target>, IamError> {
        let target = self.target(call).await?;
        // As the call itself reads it.
        let path = match call.params.get("NewPath") {
            Some("") => name::ROOT_PATH,
            Some(path) => path,
            None => &target.path,
        };
        let becomes = match self {
            Self::RenamedUser => arn::user(&call.account, path, call.params.get("NewUserName").unwrap_or(call.params.text("UserName")?)),
            Self::RenamedGroup => {
                arn::group(&call.account, path, call.params.get("NewGroupName").unwrap_or(call.params.text("GroupName")?))
            }
            _ => return Ok(vec![target]),
        };
        let becomes = Target { named: becomes.clone(), arn: becomes, ..target.clone() };
        Ok(vec![target, becomes])
    }

    async fn target(self, call: &Call<'_>) -> Result<Target, IamError> {
        let account = call.account.as_str();
        let new_path = call.params.get("Path").filter(|path| path.starts_with('/') && path.ends_with('/')).unwrap_or("/");
        Ok(match self {
            Self::Account | Self::ItsOwn | Self::Vouched => Target::new(arn::account(account)),
            Self::Store => Target::new(arn::KMS.to_owned()),
            Self::Users => Target::new(arn::user(account, &page::path_prefix(call)?, "")),
            Self::Groups => Target::new(arn::group(account, &page::path_prefix(call)?, "")),
            Self::Roles => Target::new(arn::role(account, &page::path_prefix(call)?, "")),
            Self::Policies => Target::new(arn::policy(account, &page::path_prefix(call)?, "")),
            Self::Providers => Target::new(arn::oidc_provider(account, "")),
            Self::NewUser => Target::new(arn::user(account, new_path, call.params.text("UserName")?)),
            Self::NewGroup => Target::new(arn::group(account, new_path, call.params.text("GroupName")?)),
            Self::NewRole => Target::new(arn::role(account, new_path, call.params.text("RoleName")?)),
            Self::NewPolicy => Target::new(arn::policy(account, new_path, call.params.text("PolicyName")?)),
            Self::User | Self::RenamedUser => match call.user_name() {
                Some(name) => user(call, &name).await?,
                None => Target::new(arn::root(account)),
            },
            Self::KeyOwner => match keys::owner_of(call).await? {
                Some(name) => user(call, &name).await?,
                None => Target::new(arn::account(account)),
            },
            Self::Group | Self::RenamedGroup => {
                let name = call.params.text("GroupName")?;
                let named = arn::group(account, name::ROOT_PATH, name);
                match call.directory().find::<Group>(account, name).await?.map(|seen| seen.record) {
                    Some(Group { path, name, .. }) => Target::found(arn::group(account, &path, &name), named, path, &Tags::default(), None),
                    None => Target::new(named),
                }
            }
            Self::Role => {
                let name = call.params.text("RoleName")?;
                let named = arn::role(account, name::ROOT_PATH, name);
                match call.directory().find::<Role>(account, name).await?.map(|seen| seen.record) {
                    Some(Role { path, name, tags, boundary, .. }) => {
                        Target::found(arn::role(account, &path, &name), named, path, &tags, boundary)
                    }
                    None => Target::new(named),
                }
            }
            Self::Policy => {
                let policy = PolicyRef::parse(call.params.text("PolicyArn")?, account)?;
                let named = policy.arn(account);
                match call.directory().find::<ManagedPolicy>(account, policy.name()).await?.map(|seen| seen.record) {
                    Some(found) if matches!(policy, PolicyRef::OfAccount(_)) => {
                        let arn = arn::policy(account, &found.path, &found.name);
                        Target::found(arn, named, found.path, &found.tags, None)
                    }
                    _ => Target::new(named),
                }
            }
            Self::NewProvider => Target::new(arn::oidc_provider(account, providers::check_url(call.params.text("Url")?)?)),
            Self::Provider => {
                let url = providers::url_of(call.params.text("OpenIDConnectProviderArn")?);
                let named = arn::oidc_provider(account, url);
                match call.directory().find::<Provider>(account, url).await?.map(|seen| seen.record) {
                    Some(Provider { url, tags, .. }) => {
                        Target::found(arn::oidc_provider(account, &url), named, name::ROOT_PATH.to_owned(), &tags, None)
                    }
                    None => Target::new(named),
                }
            }
        })
    }
}

async fn user(call: &Call<'_>, name: &str) -> Result<Target, IamError> {
    let account = call.account.as_str();
    let named = arn::user(account, name::ROOT_PATH, name);
    Ok(match call.directory().find::<User>(account, name).await?.map(|seen| seen.record) {
        Some(User { path, name, tags, boundary, .. }) => Target::found(arn::user(account, &path, &name), named, path, &tags, boundary),
        None => Target::new(named),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_as_its_action_is_and_listings_and_questions_change_nothing() {
        for row in ROWS {
            assert_eq!(row.action.as_str(), format!("{}:{}", row.service.name(), row.name));
            let only_reads = row.name.starts_with("Get") && row.name != "GetSessionToken" || row.name.starts_with("List");
            assert_eq!(row.effect == Effect::Reads, only_reads, "{}", row.name);
            assert_eq!(ROWS.iter().chain(OWN_ROWS).filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
    }

    #[test]
    fn a_call_of_our_own_has_the_right_of_aws_unless_it_is_about_the_store() {
        for row in OWN_ROWS {
            let of_store = row.action.as_str() == format!("strongroom:{}", row.name);
            assert_eq!(row.on == On::Store, of_store, "{}", row.name);
            let only_reads = ["Get", "List", "Describe"].iter().any(|verb| row.name.starts_with(verb));
            assert_eq!(row.effect == Effect::Reads, only_reads, "{}", row.name);
        }
    }
}
