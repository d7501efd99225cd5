//! Why a token is not believed.

/// Why a token is not believed. No variant holds anything of the token that could be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no signed token of JSON.
    #[error("The token is no JSON Web Token: {0}.")]
    Malformed(&'static str),
    /// It is signed in a way that is not taken: none at all, or with a secret that both sides have.
    #[error("The token's algorithm is not taken; it must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA.")]
    Algorithm,
    /// It says that whoever does not understand one of its headers must not take it.
    #[error("The token has a critical header, and this server understands none.")]
    Critical,
    /// Its provider publishes no key that could have signed it.
    #[error("The provider publishes no key of this token's id and algorithm.")]
    UnknownKey,
    /// It was altered, or somebody else signed it.
    #[error("The token's signature does not match.")]
    BadSignature,
    /// It is of another provider.
    #[error("The token is of another issuer.")]
    WrongIssuer,
    /// It is for somebody else.
    #[error("The token's audience is none of the provider's client ids.")]
    WrongAudience,
    /// A claim is missing, or is not what it must be.
    #[error("The token's claim {claim} {problem}.")]
    Claim {
        /// Its name.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Its time is over.
    #[error("The token has expired.")]
    Expired,
    /// Its time has not come.
    #[error("The token is not valid yet.")]
    NotYet,
    /// The provider's keys cannot be had now.
    #[error("The keys of the identity provider could not be fetched: {0}.")]
    Unreachable(&'static str),
}
