//! A resolved value with its origin.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// Where a value comes from, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The default: no file, variable or option set it.
    Default,
    Profile(&'static str),
    /// A configuration file, at a line from 1.
    File(Arc<Path>, usize),
    Environment(&'static str),
    /// An option of the command line.
    Option(&'static str),
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Option(name) => f.write_str(name),
        }
    }
}

/// A value with its origin. It stands for the value wherever that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigValue<T> {
    pub value: T,
    pub origin: ValueOrigin,
}

impl<T> ConfigValue<T> {
    /// A value that nobody set.
    pub fn default(value: T) -> Self {
        Self { value, origin: ValueOrigin::Default }
    }

    /// The same origin for what becomes of the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> ConfigValue<U> {
        ConfigValue { value: change(self.value), origin: self.origin }
    }
}

impl<T> Deref for ConfigValue<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
