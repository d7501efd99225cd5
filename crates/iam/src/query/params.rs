//! The parameters of a call.

use crate::IamError;

/// More than any call has: 50 tags are 100 parameters.
const MAX_PARAMS: usize = 1000;
/// So many items a page has where the client says nothing, and at the most.
const DEFAULT_ITEMS: usize = 100;
const MAX_ITEMS: usize = 1000;
const MAX_MARKER_BYTES: usize = 512;

/// What a client sent, by names such as `UserName` and `Tags.member.1.Key`.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

/// Which page of a listing is meant.
pub(crate) struct PageRequest {
    /// The name of the last item of the page before.
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

impl Params {
    /// The parameters of a form body.
    pub fn parse(body: &[u8]) -> Result<Self, IamError> {
        let params: Vec<(String, String)> = serde_urlencoded::from_bytes(body)
            .map_err(|_| IamError::validation("The body does not parse as application/x-www-form-urlencoded."))?;
        Self::new(params)
    }

    /// Parameters that are at hand; each has one value.
    pub fn new(mut params: Vec<(String, String)>) -> Result<Self, IamError> {
        if params.len() > MAX_PARAMS {
            return Err(IamError::validation(format!("The request has more than {MAX_PARAMS} parameters.")));
        }
        params.sort();
        if let Some(twice) = params.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(IamError::validation(format!("The parameter {} is there more than once.", twice[0].0)));
        }
        Ok(Self(params))
    }

    /// The value, where there is one. The empty text is a value too.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// A value that must be there.
    pub(crate) fn text(&self, name: &'static str) -> Result<&str, IamError> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| IamError::validation(format!("The request must contain the parameter {name}.")))
    }

    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, IamError> {
        match self.get(name) {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(IamError::validation(format!("The parameter {name} must be true or false."))),
        }
    }

    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u32>, IamError> {
        let parse = |value: &str| value.parse().map_err(|_| IamError::validation(format!("The parameter {name} must be a whole number.")));
        self.get(name).filter(|value| !value.is_empty()).map(parse).transpose()
    }

    /// `NAME.member.1`, `NAME.member.2`, … to the first number that is missing.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        (1..).map_while(|number| self.get(&format!("{name}.member.{number}")).map(str::to_owned)).collect()
    }

    /// `NAME.member.1.Key` and `.Value`, …
    pub(crate) fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let pair = |number| {
            let key = self.get(&format!("{name}.member.{number}.Key"))?;
            let value = self.get(&format!("{name}.member.{number}.Value")).unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        };
        (1..).map_while(pair).collect()
    }

    /// `Marker` and `MaxItems`.
    pub(crate) fn page(&self) -> Result<PageRequest, IamError> {
        let limit = match self.number("MaxItems")? {
            None => DEFAULT_ITEMS,
            Some(number) => match usize::try_from(number) {
                Ok(number @ 1..=MAX_ITEMS) => number,
                _ => return Err(IamError::validation(format!("The parameter MaxItems must be 1 to {MAX_ITEMS}."))),
            },
        };
        let after = self.get("Marker").filter(|marker| !marker.is_empty());
        if after.is_some_and(|marker| marker.len() > MAX_MARKER_BYTES) {
            return Err(IamError::validation("The parameter Marker is none that an earlier page gave."));
        }
        Ok(PageRequest { after: after.map(str::to_owned), limit })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_its_parameters_each_once() {
        let params = Params::parse(
            b"Action=CreateUser&UserName=a%2Bb&Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.2.Key=e&Tags.member.4.Key=x",
        )
        .unwrap();
        assert_eq!((params.get("UserName"), params.text("UserName").unwrap()), (Some("a+b"), "a+b"));
        assert_eq!(params.pairs("Tags"), [("k".to_owned(), "v".to_owned()), ("e".to_owned(), String::new())]);
        assert_eq!(params.list("Tags"), Vec::<String>::new());
        assert!(matches!(params.text("Path"), Err(IamError::Validation(message)) if message.contains("Path")));
        assert!(Params::parse(b"A=1&B=2&A=1").is_err());
        assert!(Params::parse("A=1&".repeat(1001).as_bytes()).is_err());
    }

    #[test]
    fn a_page_has_1_to_1000_items() {
        let page = |value: &str| Params::new(vec![("MaxItems".to_owned(), value.to_owned())]).unwrap().page().map(|page| page.limit);
        assert_eq!((page("1").unwrap(), page("1000").unwrap(), page("").unwrap()), (1, 1000, 100));
        assert!(page("0").is_err() && page("1001").is_err() && page("-1").is_err() && page("x").is_err());
    }
}
