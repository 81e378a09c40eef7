//! Words for the plan itself: the people around it, the children's education, the end of work.

use super::Wording;
use crate::demo::facts::Kind;

pub(super) const WORDINGS: &[Wording] = &[
    Wording {
        kind: Kind::Accountant,
        topic: "an accountant",
        subjects: &["My accountant", "Tax documents", "Please send the 1099s"],
        asks: &[
            "Who does your taxes now? I'd send the 1099s straight over.",
            "Could you give me the name of your accountant?",
        ],
        mails: &[
            "My accountant is {v} now, who also handles {d}.",
            "Please send the 1099s to {v}; that's the accountant who does {d} for us.",
            "We switched accountants. {v} has the file and asks about {d}.",
            "{first} here. Our new CPA, {v}, wants to talk with you about {d}.",
            "About {d}: could you call {v}, our accountant, directly?",
            "The tax return is with {v}, only {d} will take longer.",
        ],
        notes: &[
            "{name}: accountant is {v} ({d}). Send 1099s there.",
            "CPA of {first}: {v}, working on {d}.",
        ],
        plain: &[
            "Who is {name}'s accountant?",
            "Which accountant should get the 1099s of {name}?",
        ],
        oblique: &[
            "Whom should we contact regarding the {last} filing with the IRS?",
            "Which professional prepares the yearly government paperwork of Family {last}?",
            "Who crunches numbers ahead of the April deadline at the {last} household?",
        ],
        who: &[
            "Whose accountant is {v}?",
            "Which clients use {v} as accountant?",
        ],
    },
    Wording {
        kind: Kind::Lawyer,
        topic: "an estate lawyer",
        subjects: &["Estate documents", "The lawyer's draft", "Papers to sign"],
        asks: &[
            "Which lawyer is drawing up the estate documents?",
            "Do you have an estate lawyer, or shall I name one?",
        ],
        mails: &[
            "Our estate lawyer is {v}, who sent a draft of {d}.",
            "{v} drew up {d}, so that is our lawyer now.",
            "We met with a lawyer about {d}. The name is {v}, and we felt in good hands.",
            "Could you send the account titles to {v}? Our lawyer wants them for {d}.",
            "The attorney for {d} is {v}; expect a call.",
            "We've signed {d} at last, in the office of {v}, our attorney.",
        ],
        notes: &[
            "{name}: estate lawyer {v}, {d}.",
            "Lawyer of {first} is {v}; {d} in draft.",
        ],
        plain: &[
            "Who is the estate lawyer of {name}?",
            "Which lawyer drew up {d} of {name}?",
        ],
        oblique: &[
            "Whose legal counsel do the {last} spouses rely upon?",
            "What jurist advises Family {last} regarding what happens upon death?",
            "Which counselor at law represents Mr or Mrs {last}?",
        ],
        who: &[
            "Whose estate lawyer is {v}?",
            "Which clients work with the lawyer {v}?",
        ],
    },
    Wording {
        kind: Kind::Trustee,
        topic: "a trustee",
        subjects: &["The trust", "Successor trustee", "Trust paperwork"],
        asks: &[
            "Whom do you want as successor trustee?",
            "Who should be named in the trust paperwork after the two of you?",
        ],
        mails: &[
            "For the trust, we'd like {v} as successor trustee and not {d}.",
            "The successor trustee will be {v}. We had thought of {d} first.",
            "Please change the trust paperwork: {v} instead of {d}.",
            "{v} has agreed to be trustee after us, which is better than {d}.",
            "We no longer want {d} in the trust. Could {v} be the successor?",
            "When we are gone {v} shall look after the trust, {d} would be asking too much.",
        ],
        notes: &[
            "{name}: successor trustee is {v} (not {d}).",
            "Trust of {first}: {v} follows as trustee, replaces {d}.",
        ],
        plain: &[
            "Who is the successor trustee of {name}'s trust?",
            "Whom did {name} name as trustee?",
        ],
        oblique: &[
            "Who takes over fiduciary control once Mr and Mrs {last} die?",
            "Which person did the {last} grantors appoint to administer assets later?",
            "Into whose hands falls stewardship of the {last} estate?",
        ],
        who: &[
            "Who chose {v} as trustee?",
            "Which trusts have {v} as successor trustee?",
        ],
    },
    Wording {
        kind: Kind::College,
        topic: "a college fund",
        subjects: &["529 plan", "College savings", "{child} and the 529"],
        asks: &[
            "How much goes into the 529 for {child} at present?",
            "What would you like to contribute to the college fund for {child}?",
        ],
        mails: &[
            "We'd like to put {v} into the 529 for {child}, in {d}.",
            "Please raise the college fund of {child} to {v}; keep it in {d}.",
            "The 529 for {child} gets {v} from us. Is {d} still right?",
            "With the day care bills gone we can afford {v} for the college fund of {child}. We like {d}.",
            "{child} wants to be a pilot, so make it {v} in the 529, {d}.",
            "I set up the automatic transfer for the 529, {v}, and chose {d} for {child}.",
        ],
        notes: &[
            "{name}: 529 for {child}, {v}, {d}.",
            "College fund of {child} ({first}): {v} into {d}.",
        ],
        plain: &[
            "How much does {name} put into the 529 for {child}?",
            "What does {name} contribute to the college fund of {child}?",
        ],
        oblique: &[
            "What regular amount do the {last} parents save toward higher education?",
            "How many dollars does Family {last} deposit on behalf of a future student?",
            "What recurring sum finances tomorrow's university degree at the {last} household?",
        ],
        who: &["Who contributes {v} to a 529?"],
    },
    Wording {
        kind: Kind::Retirement,
        topic: "retiring",
        subjects: &["Retirement date", "Counting the days", "The plan"],
        asks: &[
            "Have you settled on a retirement date?",
            "When do you want to retire? I'd like to run the plan again.",
        ],
        mails: &[
            "I've settled on {v} as my retirement date, with {d}.",
            "The plan is to retire in {v}. I picture {d}.",
            "My boss knows now: I retire in {v}, and it will be {d}.",
            "Could you run the numbers for {v}? That's when I want to retire, with {d}.",
            "We moved the date once more. I retire in {v}, thanks to {d}.",
            "I'm counting the days until {v}, my retirement, and {d}.",
        ],
        notes: &[
            "{name} retires in {v}; {d}.",
            "Retirement date of {first}: {v} ({d}).",
        ],
        plain: &[
            "When does {name} want to retire?",
            "What retirement date has {name} settled on?",
        ],
        oblique: &[
            "At what point will the {last} client leave the workforce?",
            "When does the career of Mr or Mrs {last} come to an end?",
            "How soon does somebody in Family {last} stop earning wages?",
        ],
        who: &["Who wants to retire in {v}?"],
    },
    Wording {
        kind: Kind::SocialSecurity,
        topic: "Social Security",
        subjects: &["Social Security", "When to claim", "The benefits letter"],
        asks: &[
            "At which age do you want to claim Social Security?",
            "Have you thought about when to claim Social Security?",
        ],
        mails: &[
            "I've decided to claim Social Security at {v}, because of {d}.",
            "For Social Security let's plan with age {v}. I was thinking of {d}.",
            "The benefits letter came. Considering {d}, I'd file for Social Security at {v}.",
            "Put {v} into the plan as my Social Security age; you convinced me about {d}.",
            "We argued about {d} all evening and agreed that I claim at {v}, Social Security I mean.",
            "Is {v} a sensible age to claim Social Security, given {d}?",
        ],
        notes: &[
            "{name} claims Social Security at {v} ({d}).",
            "Social Security of {first}: at {v}; reason {d}.",
        ],
        plain: &[
            "At what age does {name} claim Social Security?",
            "What Social Security age is in {name}'s plan?",
        ],
        oblique: &[
            "How old will Mr or Mrs {last} be upon starting government pension checks?",
            "When do monthly federal old-age payments begin at the {last} household?",
            "Until which birthday does the {last} client delay collecting the state pension?",
        ],
        who: &["Who wants to claim Social Security at {v}?"],
    },
];
