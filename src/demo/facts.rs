//! What is true in the fictional book, before anybody has put it into words.
//!
//! A [`Fact`] is data: whose household, what [`Kind`], the value that answers a question about it,
//! and one detail beside it. The values stand in `pools` and nowhere else, so that the wording can
//! change without changing the truth, and the questions are asked of facts and not of text.
//!
//! Promises: a household has at most one fact of a kind (travel: two, months apart); the values of
//! two kinds never overlap. Knows no mail, no template and no question.

use serde::Serialize;

use super::pools;

/// A topic that a household may have told its advisor about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    ChildSport,
    ChildArts,
    Pet,
    Allergy,
    Hobby,
    Vehicle,
    SellStock,
    BuyFund,
    Roth,
    Rmd,
    Mortgage,
    Renovation,
    LifeInsurance,
    Illness,
    Accountant,
    Lawyer,
    Trustee,
    Divorce,
    Inheritance,
    Charity,
    College,
    Grandchild,
    Job,
    Business,
    Retirement,
    SocialSecurity,
    Travel,
    Move,
    ElderCare,
    Wedding,
}

impl Kind {
    /// In pairs of neighbours in meaning: the hard negatives within one household.
    pub const PAIRS: [(Kind, Kind); 15] = [
        (Kind::ChildSport, Kind::ChildArts),
        (Kind::Pet, Kind::Allergy),
        (Kind::Hobby, Kind::Vehicle),
        (Kind::SellStock, Kind::BuyFund),
        (Kind::Roth, Kind::Rmd),
        (Kind::Mortgage, Kind::Renovation),
        (Kind::LifeInsurance, Kind::Illness),
        (Kind::Accountant, Kind::Lawyer),
        (Kind::Trustee, Kind::Divorce),
        (Kind::Inheritance, Kind::Charity),
        (Kind::College, Kind::Grandchild),
        (Kind::Job, Kind::Business),
        (Kind::Retirement, Kind::SocialSecurity),
        (Kind::Travel, Kind::Move),
        (Kind::ElderCare, Kind::Wedding),
    ];

    /// Every kind, in the order of the pairs.
    pub fn all() -> impl Iterator<Item = Kind> {
        Self::PAIRS.into_iter().flat_map(|(a, b)| [a, b])
    }

    /// The kind that is easily taken for this one.
    #[must_use]
    pub fn sibling(self) -> Kind {
        Self::PAIRS
            .into_iter()
            .find_map(|(a, b)| match self {
                kind if kind == a => Some(b),
                kind if kind == b => Some(a),
                _ => None,
            })
            .unwrap_or(self)
    }

    /// Told of a child, so only of households that have one.
    pub fn needs_child(self) -> bool {
        matches!(self, Kind::ChildSport | Kind::ChildArts | Kind::College)
    }

    /// Told late in life, so only of households without children at home.
    pub fn needs_age(self) -> bool {
        matches!(self, Kind::Rmd | Kind::SocialSecurity | Kind::Grandchild)
    }

    /// Told by somebody who is married (a divorce), so only of couples.
    pub fn needs_couple(self) -> bool {
        matches!(self, Kind::Divorce)
    }

    /// The value is a person's name, drawn from the book's professionals.
    pub fn names_a_professional(self) -> bool {
        matches!(
            self,
            Kind::Accountant | Kind::Lawyer | Kind::Trustee | Kind::Divorce
        )
    }

    /// What a question about the fact asks for. `{y+3}` is the year three years from today's.
    /// Empty where the value is a professional's name.
    pub fn values(self) -> &'static [&'static str] {
        pools::of(self).0
    }

    /// The second thing told with the value: a ticker, a lender, a relation, a day.
    pub fn details(self) -> &'static [&'static str] {
        pools::of(self).1
    }
}

/// One thing that is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Place in `Book::facts`.
    pub id: usize,
    /// Place of the household in `Book::households`.
    pub household: usize,
    /// Which of the household's adults it is told by and asked about.
    pub adult: usize,
    pub kind: Kind,
    /// Stands word for word in every source that tells the fact.
    pub value: String,
    pub detail: String,
    /// The child it is about, for the kinds that need one.
    pub child: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_value_belongs_to_two_kinds() {
        let mut seen = HashSet::new();
        for kind in Kind::all() {
            for value in kind.values() {
                assert!(seen.insert(*value), "{value} stands twice");
            }
        }
    }

    #[test]
    fn siblings_point_at_each_other() {
        for kind in Kind::all() {
            assert_ne!(kind, kind.sibling());
            assert_eq!(kind.sibling().sibling(), kind);
        }
    }
}
