//! Pages of requests: which are asked for, and where the other pages are (spec rest-api §7).

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ApiSettings, BatchId, Form, KINDS, Record, Refusal, RequestId, Rule, State, kind_names,
};

/// Requests on a page if nobody says how many.
const DEFAULT_PER_PAGE: u32 = 20;

/// A type that the reference lists among the others; no request is of it.
const GENERIC: &str = "generic";

/// What a listing may look for in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facets<'a> {
    /// Its state.
    pub state: State,
    /// Its batch.
    pub batch: BatchId,
    /// Its kind.
    pub kind: &'static str,
    /// Who asked.
    pub user: Option<&'a str>,
    /// The index it starts from, if its kind is found by that.
    pub from_index: Option<&'a str>,
    /// Its result, if its kind is found by that.
    pub index_image: Option<&'a str>,
    /// Whether it is only to be seen what it would do: no listing has such requests among others.
    pub is_dry_run: bool,
}

impl Record {
    /// What a listing may look for in this request: indexes are looked for in requests of some kinds
    /// only.
    pub fn facets(&self) -> Facets<'_> {
        let kind = self.request.name();
        let result = self.facts.index_image.as_deref();
        Facets {
            state: self.state(),
            batch: self.batch,
            kind,
            user: self.user.as_deref(),
            from_index: self.request.listed_index(),
            index_image: result.filter(|_| self.request.is_found_by_result()),
            is_dry_run: self.is_dry_run,
        }
    }
}

/// Which requests are asked for: those that all of it holds for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// In this state.
    pub state: Option<State>,
    /// In this batch.
    pub batch: Option<BatchId>,
    /// Of this kind.
    pub kind: Option<&'static str>,
    /// Asked for by this user.
    pub user: Option<String>,
    /// Starting from this index.
    pub from_index: Option<String>,
    /// Starting from an index whose pull spec begins so.
    pub from_index_prefix: Option<String>,
    /// With this result.
    pub index_image: Option<String>,
    /// Dry runs, and nothing else; else none of them. Ours.
    pub dry_runs: bool,
}

/// An image that a filter names. That nobody has used it is a fault of the call; otherwise a call
/// with a slip in it would find nothing, and look right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought<'a> {
    /// This image.
    Image(&'a str),
    /// One whose pull spec begins so.
    Prefix(&'a str),
}

impl Filters {
    /// Reads the filters of a query. Of repeated names the first counts; unknown names are ignored,
    /// and so are empty values but for that of `batch`.
    ///
    /// # Errors
    /// [`Refusal`], in the order of the reference.
    pub fn read(query: &[(String, String)]) -> Result<Self, Refusal> {
        let text = |name| value(query, name).filter(|text| !text.is_empty());
        let owned = |name| text(name).map(str::to_owned);
        Ok(Self {
            state: text("state").map(State::read).transpose()?,
            batch: value(query, "batch").map(batch).transpose()?,
            kind: text("request_type").map(kind).transpose()?,
            user: owned("user"),
            from_index: owned("from_index"),
            from_index_prefix: owned("from_index_startswith"),
            index_image: owned("index_image"),
            dry_runs: dry_run(query)?,
        })
    }

    /// The images that they name, in the order in which they are looked at, each with what is said
    /// where nobody has used it.
    pub fn sought(&self) -> Vec<(Sought<'_>, Refusal)> {
        let unseen = |field, text: String| Refusal::new(Rule::Choice, field, text);
        let mut sought = Vec::new();
        if let Some(image) = &self.from_index {
            let text = format!("from_index {image} is not a valid index image");
            sought.push((Sought::Image(image), unseen("from_index", text)));
        }
        if let Some(prefix) = &self.from_index_prefix {
            let text = format!("Can't find any from_index starting with {prefix}");
            sought.push((
                Sought::Prefix(prefix),
                unseen("from_index_startswith", text),
            ));
        }
        if let Some(image) = &self.index_image {
            let text = format!("{image} is not a valid index image");
            sought.push((Sought::Image(image), unseen("index_image", text)));
        }
        sought
    }

    /// Whether a request is among those asked for.
    pub fn hold_for(&self, facets: &Facets<'_>) -> bool {
        fn same<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let begins = |prefix: &String| {
            let index = facets.from_index;
            index.is_some_and(|index| index.starts_with(prefix.as_str()))
        };
        same(self.state.as_ref(), Some(&facets.state))
            && same(self.batch.as_ref(), Some(&facets.batch))
            && same(self.kind, Some(facets.kind))
            && same(self.user.as_deref(), facets.user)
            && same(self.from_index.as_deref(), facets.from_index)
            && self.from_index_prefix.as_ref().is_none_or(begins)
            && same(self.index_image.as_deref(), facets.index_image)
            && self.dry_runs == facets.is_dry_run
    }

    /// The filters as a query has them, in the order of the reference.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let pairs = [
            ("state", self.state.map(|state| state.to_string())),
            ("batch", self.batch.map(|batch| batch.to_string())),
            ("request_type", self.kind.map(str::to_owned)),
            ("user", self.user.clone()),
            ("from_index", self.from_index.clone()),
            ("from_index_startswith", self.from_index_prefix.clone()),
            ("index_image", self.index_image.clone()),
            (DRY_RUN, self.dry_runs.then(|| "true".to_owned())),
        ];
        let given = pairs.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// The value of a parameter; of repeated ones the first.
fn value<'a>(query: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    let mut pairs = query.iter();
    pairs.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
}

/// The parameter of calls that are about dry runs.
const DRY_RUN: &str = "dry_run";

/// Whether a query is about dry runs. Ours, and strict: whoever misspells it would change an index.
///
/// # Errors
/// [`Rule::Choice`] for anything but `true` and `false`, or for both.
pub fn dry_run(query: &[(String, String)]) -> Result<bool, Refusal> {
    let mut asked = None;
    for (name, value) in query {
        let letters = name.chars().filter(char::is_ascii_alphabetic);
        let letters: String = letters.map(|c| c.to_ascii_lowercase()).collect();
        if !letters.contains("dryrun") {
            continue;
        }
        let said = match (&**name, &**value) {
            (DRY_RUN, "true") => Some(true),
            (DRY_RUN, "false") => Some(false),
            _ => None,
        };
        let said = said.filter(|said| asked.is_none_or(|before| before == *said));
        asked = Some(said.ok_or_else(|| {
            let text = "\"dry_run\" is \"true\" for a request that is only to show what it would do, or \"false\": it has to be given so, and once";
            Refusal::new(Rule::Choice, DRY_RUN, text)
        })?);
    }
    Ok(asked.unwrap_or_default())
}

fn batch(text: &str) -> Result<BatchId, Refusal> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number > 0);
    number.map(BatchId).ok_or_else(|| {
        let text = "The batch must be a positive integer";
        Refusal::new(Rule::Choice, "batch", text)
    })
}

fn kind(text: &str) -> Result<&'static str, Refusal> {
    let mut names = [GENERIC].into_iter().chain(kind_names());
    names.find(|name| *name == text).ok_or_else(|| {
        // Those of the reference, in its words.
        let kinds = KINDS.iter().map(|kind| kind.name);
        let names: Vec<&str> = [GENERIC].into_iter().chain(kinds).collect();
        let text = format!(
            "{text} is not a valid build request type. Valid request_types are: {}",
            names.join(", ")
        );
        Refusal::new(Rule::Choice, "request_type", text)
    })
}

/// Which page is asked for, and how much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Number of the page, from 1.
    pub page: u32,
    /// Requests on a page, from 1.
    pub per_page: u32,
    /// How much of each request is shown.
    pub form: Form,
}

/// Where a piece of the listing begins that is asked for by its cursor. Ours: pages move when requests are made, and take
/// longer the farther behind they are; what a cursor names stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// It begins behind this request; none: with the newest.
    pub before: Option<RequestId>,
}

/// Where a piece stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Piece")]
pub struct CursorMeta {
    /// The next piece, if there is one.
    next: Option<String>,
    /// The cursor in it.
    next_cursor: Option<String>,
    /// Requests in a piece.
    per_page: u32,
}

impl Cursor {
    /// Reads a query; none if it asks for a page.
    ///
    /// # Errors
    /// [`Rule::Choice`] for one that no answer had, or beside a page.
    pub fn read(query: &[(String, String)]) -> Result<Option<Self>, Refusal> {
        let Some(text) = value(query, "cursor") else {
            return Ok(None);
        };
        let refused = |text: String| Refusal::new(Rule::Choice, "cursor", text);
        if value(query, "page").is_some() {
            let text = "\"cursor\" and \"page\" cannot be given together: the one names a place, the other counts from the newest";
            return Err(refused(text.to_owned()));
        }
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let before = match text {
            "" => None,
            _ => Some(text.parse().ok().filter(|_| digits).ok_or_else(|| {
                refused(format!(
                    "\"cursor\" is \"{text}\", which is none: leave its value out for the newest requests, then take \"next_cursor\" of each answer"
                ))
            })?),
        };
        let before = before.map(RequestId);
        Ok(Some(Self { before }))
    }

    /// Places a piece behind which this one is; `builds` as for [`Window::meta`].
    pub fn meta(
        next: Option<RequestId>,
        window: &Window,
        builds: &str,
        filters: &Filters,
    ) -> CursorMeta {
        let url = |next: RequestId| {
            let base = format!("{builds}?");
            let at = base.len();
            let mut query = form_urlencoded::Serializer::for_suffix(base, at);
            query
                .append_pair("cursor", &next.to_string())
                .append_pair("per_page", &window.per_page.to_string());
            if window.form == Form::Verbose {
                query.append_pair("verbose", "true");
            }
            query.extend_pairs(&filters.query()).finish()
        };
        CursorMeta {
            next: next.map(url),
            next_cursor: next.map(|next| next.to_string()),
            per_page: window.per_page,
        }
    }
}

/// Where a page stands among the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Page")]
pub struct Meta {
    /// The first page.
    first: String,
    /// The last one.
    last: String,
    /// The next one, if there is one.
    next: Option<String>,
    /// The number of this one.
    page: u32,
    /// How many there are.
    pages: u64,
    /// Requests on a page.
    per_page: u32,
    /// The page before, if there is one.
    previous: Option<String>,
    /// How many requests there are.
    total: u64,
}

impl Window {
    /// Reads a query.
    ///
    /// # Errors
    /// [`Rule::NoSuchPage`] for a page or page size that is no number from 1.
    pub fn read(query: &[(String, String)], settings: &ApiSettings) -> Result<Self, Refusal> {
        let form = match value(query, "verbose") {
            Some(text) if text == "1" || text.eq_ignore_ascii_case("true") => Form::Verbose,
            Some(_) | None => Form::Short,
        };
        // However many are asked for, there are no more than the settings say.
        let many = |text: &str| text.len() > 9 && text.bytes().all(|b| b.is_ascii_digit());
        let per_page = value(query, "per_page").map(|text| match many(text) {
            true => "999999999",
            false => text,
        });
        let per_page = number(per_page, DEFAULT_PER_PAGE)?;
        Ok(Self {
            page: number(value(query, "page"), 1)?,
            per_page: per_page.min(settings.max_per_page).max(1),
            form,
        })
    }

    /// Places the page among all pages that the filters find; `builds` is the absolute URL of the
    /// listing.
    ///
    /// # Errors
    /// [`Rule::NoSuchPage`] past the end. The first page is always there.
    pub fn meta(&self, total: u64, builds: &str, filters: &Filters) -> Result<Meta, Refusal> {
        let pages = total.div_ceil(u64::from(self.per_page));
        let page = u64::from(self.page);
        if page > pages.max(1) {
            return Err(Refusal::no_such_page());
        }
        let filters = filters.query();
        let url = |page: u64| {
            let base = format!("{builds}?");
            let at = base.len();
            form_urlencoded::Serializer::for_suffix(base, at)
                .append_pair("page", &page.to_string())
                .append_pair("per_page", &self.per_page.to_string())
                .extend_pairs(&filters)
                .finish()
        };
        Ok(Meta {
            first: url(1),
            last: url(pages),
            next: (page < pages).then(|| url(page + 1)),
            page: self.page,
            pages,
            per_page: self.per_page,
            previous: (page > 1).then(|| url(page - 1)),
            total,
        })
    }
}

/// A number from 1. One that is too large is a page that is not there.
fn number(text: Option<&str>, default: u32) -> Result<u32, Refusal> {
    let Some(text) = text else { return Ok(default) };
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::no_such_page());
    }
    let number = text.parse().map_err(|_| Refusal::no_such_page())?;
    if number == 0 {
        return Err(Refusal::no_such_page());
    }
    Ok(number)
}

#[cfg(test)]
mod tests;
