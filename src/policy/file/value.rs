//! Values of a policy file: what TOML has, and the few shapes that policies are made of.

use toml::Spanned;
use toml::de::DeValue;

use crate::api::json::Json;
use crate::policy::ask::GrantKind;
use crate::policy::file::Request;
use crate::policy::file::section::Section;
use crate::policy::report::{Code, Problem, Report};

/// A value that can be read from TOML
pub trait Value: Sized {
    /// Reads it; what is wrong with it goes into the report
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self>;
}

/// The problem that a value has another type
pub fn wrong_type(value: &Spanned<DeValue<'_>>, at: &str, wanted: &str) -> Problem {
    let kind = match value.as_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::new(Code::WrongType, value.span(), format!("`{at}` must be {wanted}")).label(format!("this is {kind}"))
}

impl Value for String {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        if let DeValue::String(text) = value.as_ref() {
            return Some(text.to_string());
        }
        report.push(wrong_type(value, at, "a string"));
        None
    }
}

impl Value for bool {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        if let DeValue::Boolean(yes) = value.as_ref() {
            return Some(*yes);
        }
        report.push(wrong_type(value, at, "`true` or `false`"));
        None
    }
}

impl Value for i64 {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        if let Some(Amount::Integer(number)) = amount(value) {
            return Some(number);
        }
        report.push(wrong_type(value, at, "an integer"));
        None
    }
}

impl<T: Value> Value for Vec<Spanned<T>> {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        let DeValue::Array(values) = value.as_ref() else {
            report.push(wrong_type(value, at, "a list"));
            return None;
        };
        let element = |value: &Spanned<DeValue<'_>>| Some(Spanned::new(value.span(), T::read(value, at, report)?));
        Some(values.iter().filter_map(element).collect())
    }
}

/// A size or a number, as `"4GiB"`, `1024` or `1.5`
#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    /// `1024`
    Integer(i64),
    /// `1.5`
    Float(f64),
    /// `"4GiB"`
    Text(String),
}

impl Value for Amount {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        let amount = amount(value);
        if amount.is_none() {
            report.push(wrong_type(value, at, "a number or a size such as \"4GiB\""));
        }
        amount
    }
}

fn amount(value: &Spanned<DeValue<'_>>) -> Option<Amount> {
    match value.as_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Amount::Integer),
        DeValue::Float(number) => number.as_str().parse().ok().map(Amount::Float),
        DeValue::String(text) => Some(Amount::Text(text.to_string())),
        _ => None,
    }
}

/// One word or a list of them
#[derive(Debug, Clone)]
pub struct OneOrMore(pub Vec<Spanned<String>>);

impl Value for OneOrMore {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        match value.as_ref() {
            DeValue::String(text) => Some(Self(vec![Spanned::new(value.span(), text.to_string())])),
            DeValue::Array(_) => Value::read(value, at, report).map(Self),
            _ => {
                report.push(wrong_type(value, at, "a string or a list of strings"));
                None
            }
        }
    }
}

/// What is granted and what is forbidden
#[derive(Debug, Clone)]
pub struct Lists<T> {
    /// Granted
    pub allow: Vec<Spanned<T>>,
    /// Forbidden
    pub forbid: Vec<Spanned<T>>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { allow: Vec::new(), forbid: Vec::new() }
    }
}

impl<T: Value> Lists<T> {
    /// Takes `allow` and `forbid`
    pub fn take(section: &mut Section<'_>, report: &mut Report) -> Self {
        let mut list = |key| section.take::<Vec<Spanned<T>>>(key, report).map(Spanned::into_inner).unwrap_or_default();
        Self { allow: list("allow"), forbid: list("forbid") }
    }
}

/// A host path pattern and how it may be mounted
#[derive(Debug, Clone)]
pub struct MountSource {
    /// Pattern
    pub source: Spanned<String>,
    /// `ro` or `rw`
    pub access: Option<Spanned<String>>,
    /// `rprivate`, `rslave` or `rshared`
    pub propagation: Option<Spanned<String>>,
}

impl Value for MountSource {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        if let DeValue::String(source) = value.as_ref() {
            let source = Spanned::new(value.span(), source.to_string());
            return Some(Self { source, access: None, propagation: None });
        }
        let Some(mut section) = Section::of(at, value) else {
            report.push(wrong_type(value, at, "a path or `{ source = …, access = … }`"));
            return None;
        };
        let source = section.need("source", report);
        let (access, propagation) = (section.take("access", report), section.take("propagation", report));
        // Kept for readers of the file.
        let _: Option<Spanned<String>> = section.take("reason", report);
        section.close(report);
        Some(Self { source: source?, access, propagation })
    }
}

/// What may stand for a flag
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// `true` or `false`
    Switch,
    /// Also a list of patterns, or a table of two
    Patterns,
}

impl From<GrantKind> for Duty {
    fn from(kind: GrantKind) -> Self {
        match kind {
            GrantKind::Switch => Self::Switch,
            GrantKind::Patterns => Self::Patterns,
        }
    }
}

/// What a flag is granted
#[derive(Debug, Clone)]
pub enum Granted {
    /// Everything
    All,
    /// Nothing, whatever the parent grants
    Nothing,
    /// These
    Lists(Lists<String>),
}

impl Granted {
    /// Reads what stands for a flag
    pub fn read(value: &Spanned<DeValue<'_>>, duty: Duty, at: &str, report: &mut Report) -> Option<Self> {
        match (value.as_ref(), duty) {
            (DeValue::Boolean(true), _) => Some(Self::All),
            (DeValue::Boolean(false), _) => Some(Self::Nothing),
            (DeValue::Array(_), Duty::Patterns) => {
                let allow = Value::read(value, at, report)?;
                Some(Self::Lists(Lists { allow, forbid: Vec::new() }))
            }
            (DeValue::Table(_), Duty::Patterns) => {
                let mut section = Section::of(at, value)?;
                let lists = Lists::take(&mut section, report);
                section.close(report);
                Some(Self::Lists(lists))
            }
            (_, Duty::Switch) => {
                report.push(wrong_type(value, at, "`true` or `false`"));
                None
            }
            (_, Duty::Patterns) => {
                report.push(wrong_type(value, at, "a list of strings, `true` or `false`"));
                None
            }
        }
    }
}

impl Value for Request {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        if let DeValue::String(line) = value.as_ref() {
            return Some(Self::Command(line.to_string()));
        }
        let Some(mut section) = Section::of(at, value) else {
            report.push(wrong_type(value, at, "a `docker …` command or `{ method = …, path = …, body = … }`"));
            return None;
        };
        let (method, path) = (section.need("method", report), section.need("path", report));
        let body = section.take("body", report).map(Spanned::into_inner);
        section.close(report);
        Some(Self::Http { method: method?.into_inner(), path: path?.into_inner(), body })
    }
}

impl Value for Json {
    fn read(value: &Spanned<DeValue<'_>>, at: &str, report: &mut Report) -> Option<Self> {
        Some(match value.as_ref() {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(yes) => Self::Bool(*yes),
            DeValue::Integer(_) | DeValue::Float(_) => match amount(value)? {
                Amount::Integer(number) => Self::Int(number.into()),
                Amount::Float(number) => Self::Float(number),
                Amount::Text(text) => Self::Text(text),
            },
            DeValue::Array(values) => {
                Self::List(values.iter().filter_map(|value| Self::read(value, at, report)).collect())
            }
            DeValue::Table(table) => {
                let member = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                    Some((key.as_ref().to_string(), Self::read(value, at, report)?))
                };
                Self::Object(table.iter().filter_map(member).collect())
            }
            DeValue::Datetime(_) => {
                report.push(wrong_type(value, at, "JSON, which has no dates"));
                return None;
            }
        })
    }
}
