//! Words for work, pastimes, health, houses and journeys.

use super::Wording;
use crate::demo::facts::Kind;

pub(super) const WORDINGS: &[Wording] = &[
    Wording {
        kind: Kind::Hobby,
        topic: "a hobby",
        subjects: &[
            "What I do instead of worrying",
            "Out of office, happily",
            "My new obsession",
        ],
        asks: &[
            "What do you do for fun these days?",
            "Still the same hobby, or something new?",
        ],
        mails: &[
            "My hobby these days is {v}, {d}, and I recommend it to anybody with a blood pressure.",
            "I've become serious about {v}; I'm at it {d}.",
            "If I don't pick up {d}, it's because of {v}.",
            "Somebody gave me a beginner's book on {v}, and now it's what I do {d}.",
            "The best thing I did this year was taking up {v}. {first} is a new person, they say, at least {d}.",
            "We joined a club for {v} and meet {d}.",
        ],
        notes: &[
            "{name}: hobby is {v}, {d}.",
            "Icebreaker for {first}: {v} ({d}).",
        ],
        plain: &[
            "What hobby has {name} taken up?",
            "What is {name} serious about as a hobby?",
        ],
        oblique: &[
            "How does Mr or Mrs {last} like to spend leisure hours?",
            "Which pastime would make a good gift theme with Family {last}?",
            "What recreational interest did the {last} client discover?",
        ],
        who: &["Who does {v} as a hobby?", "Which clients are into {v}?"],
    },
    Wording {
        kind: Kind::Vehicle,
        topic: "buying a vehicle",
        subjects: &["A big purchase", "New wheels", "Is this reasonable?"],
        asks: &[
            "What did you decide to buy in the end?",
            "Which one was it going to be, and how would you pay?",
        ],
        mails: &[
            "We are buying a {v} and would like to pay with {d}.",
            "I put down a deposit for a {v}. The plan is to use {d}.",
            "Talk me out of it if you must: a {v}, paid for with {d}.",
            "The old car died on the highway, so it will be a {v}. Does {d} make sense?",
            "There is a {v} for sale two streets away, and we'd take it with {d}.",
            "I've wanted a {v} since I was twelve. The dealer suggests {d}.",
        ],
        notes: &[
            "{name} wants to buy a {v} with {d}.",
            "Purchase coming up for {first}: {v}, {d}.",
        ],
        plain: &[
            "What does {name} want to buy from the dealer?",
            "What is {name} buying, with a deposit?",
        ],
        oblique: &[
            "Which form of transportation did the {last} client acquire?",
            "What conveyance will soon stand in the {last} driveway or dock?",
            "What new ride has Family {last} set its heart on?",
        ],
        who: &["Who is buying a {v}?", "Which client wants a {v}?"],
    },
    Wording {
        kind: Kind::Renovation,
        topic: "a renovation",
        subjects: &[
            "The contractor called",
            "House project",
            "Quote from the builder",
        ],
        asks: &[
            "What are you having built at the house?",
            "What was the house project again, and when does it start?",
        ],
        mails: &[
            "The contractor can start on the {v} {d}, and wants a third up front.",
            "We've decided to put in a {v}, {d} if all goes well.",
            "The house project is settled: a {v}, {d}.",
            "Three builders have quoted for the {v}; the middle one could do it {d}.",
            "Our house will be a mess {d}, when they build the {v}.",
            "I need about a year's savings for the {v}. The builder wants to begin {d}.",
        ],
        notes: &[
            "{name}: house project, {v}, {d}.",
            "The contractor of {first} does the {v} {d}.",
        ],
        plain: &[
            "What house project does {name} have with the contractor?",
            "What is the builder doing at {name}'s house?",
        ],
        oblique: &[
            "Which home improvement did the {last} owners commission?",
            "What alteration to their property are Mr and Mrs {last} undertaking?",
            "What gets added during remodeling at the {last} residence?",
        ],
        who: &["Who is having a {v} built?", "Which clients plan a {v}?"],
    },
    Wording {
        kind: Kind::Illness,
        topic: "their health",
        subjects: &["Out for a bit", "Doctor's orders", "Health update"],
        asks: &[
            "I heard that you were in the hospital. What did the doctors say?",
            "How are you feeling, and what was the diagnosis in the end?",
        ],
        mails: &[
            "I'll be slow to answer for {d}: it's {v}, and the doctor is strict.",
            "The doctor put me down for {d} of rest because of {v}.",
            "My health has been the topic here. After {v} it will take {d} until I can drive.",
            "The hospital discharged me yesterday. What I have to get over is {v}, and they say {d}.",
            "Don't worry when you hear it from others: {v}. I'm told to count on {d} of recovery.",
            "Could we do the paperwork by mail? With {v} I'm at home for {d}.",
        ],
        notes: &[
            "{name}: {v}, recovering for {d}. Go easy on calls.",
            "Health of {first}: {v}, needs {d}. Send flowers.",
        ],
        plain: &[
            "What health problem is {name} recovering from?",
            "Why was {name} in the hospital, what did the doctor say?",
        ],
        oblique: &[
            "Which medical condition has lately troubled the {last} client?",
            "What ailment or operation kept Mr or Mrs {last} on the sidelines?",
            "For what reason did Family {last} need a surgeon or physician?",
        ],
        who: &[
            "Who told me about {v}?",
            "Which client is recovering from {v}?",
        ],
    },
    Wording {
        kind: Kind::Job,
        topic: "a new job",
        subjects: &["New job", "Change at work", "My old 401(k)"],
        asks: &[
            "Congratulations! Which company is it, and what will you be doing?",
            "Who is the new employer? I need it for the file.",
        ],
        mails: &[
            "I've accepted an offer from {v} and start as {d} next month.",
            "After eleven years I'm changing jobs: {v} wants me as {d}.",
            "The new job is real. I signed with {v}, my title is {d}.",
            "What happens to my 401(k) when I leave? I'm going to {v} as {d}.",
            "My badge from {v} arrived; it says {d}, and my mother has framed a photo of it.",
            "There's a new paycheck to plan with, from {v}, where my title is {d}.",
        ],
        notes: &[
            "{name} starts a new job as {d} at {v}. Roll the old 401(k).",
            "New employer of {first}: {v} ({d}).",
        ],
        plain: &[
            "Which company did {name} accept the new job offer from?",
            "Who is the new employer where {name} is {d}?",
        ],
        oblique: &[
            "For which firm does the {last} client work following the career switch?",
            "What organization hired Mr or Mrs {last} most recently?",
            "Whose payroll did somebody in Family {last} join?",
        ],
        who: &["Who started a job at {v}?", "Which clients work for {v}?"],
    },
    Wording {
        kind: Kind::Business,
        topic: "starting a business",
        subjects: &["A crazy idea", "Going out on my own", "Start-up money"],
        asks: &[
            "So you're really opening your own place! What will it be?",
            "What kind of business are you starting, and in what legal form?",
        ],
        mails: &[
            "I am going to open {v}. My cousin says {d} is the way.",
            "We've signed the lease for {v} and will run it as {d}.",
            "My crazy idea has a name on the door now: {v}, organized as {d}.",
            "How much of our savings can go into {v}? It will be {d}.",
            "I'm starting a business at last, {v}, as {d}, with two employees.",
            "The first month of running {v} is behind me. As {d} I now do the books at midnight.",
        ],
        notes: &[
            "{name} is starting {v} ({d}). Review the emergency money.",
            "Business of {first}: {v}, {d}.",
        ],
        plain: &[
            "What business is {name} starting as {d}?",
            "What is {name} going to open and run?",
        ],
        oblique: &[
            "What entrepreneurial venture did Mr or Mrs {last} launch?",
            "Which trade will the self-employed {last} founder pursue?",
            "Into what enterprise does Family {last} pour capital?",
        ],
        who: &["Who is opening {v}?", "Which client started {v}?"],
    },
    Wording {
        kind: Kind::Travel,
        topic: "a trip",
        subjects: &["Away in {d}", "Travel plans", "We booked it"],
        asks: &[
            "You mentioned a trip. Where are you going, and when?",
            "Where does the journey take you this time?",
        ],
        mails: &[
            "We booked it: {v}, in {d}, for two weeks.",
            "I'll be traveling in {d}. It's {v}, which I've dreamed of since school.",
            "We fly to {v} in {d}, so let us get the signatures done first.",
            "The trip to {v} in {d} will cost more than we planned, and I regret nothing.",
            "Please move some cash to checking for {v}; we go in {d}.",
            "In {d} nobody will reach us, we'll be hiking and eating in {v}.",
        ],
        notes: &[
            "{name} travels to {v} in {d}.",
            "Trip of {first}: {v}, in {d}. No meetings then.",
        ],
        plain: &[
            "Where is {name} traveling in {d}?",
            "Where does the trip of {name} in {d} go?",
        ],
        oblique: &[
            "What vacation destination did the {last} household pick?",
            "Which faraway place do Mr and Mrs {last} intend to visit on holiday?",
            "Where abroad or afar will Family {last} be sightseeing?",
        ],
        who: &[
            "Who is going on a trip to {v}?",
            "Which clients booked {v}?",
        ],
    },
    Wording {
        kind: Kind::Move,
        topic: "moving house",
        subjects: &[
            "We're moving",
            "Change of address soon",
            "Selling the house",
        ],
        asks: &[
            "So you are selling the house? Where will you move to?",
            "Where is the new house going to be?",
        ],
        mails: &[
            "We are moving to {v}. The reason is {d}, mostly.",
            "The house goes on the market in the spring, and then it's {v} for us, because of {d}.",
            "We've made an offer on a place in {v}; what decided it was {d}.",
            "Our new address will be in {v}. You know how long we talked about {d}.",
            "Would it ruin us to buy in {v} before selling here? It's about {d}.",
            "The boxes are packed. {v}, here we come; we look forward to {d}.",
        ],
        notes: &[
            "{name} is moving to {v} for {d}. Update the address.",
            "New house of {first} will be in {v} ({d}).",
        ],
        plain: &[
            "Where is {name} moving to?",
            "In which town is {name}'s new house?",
        ],
        oblique: &[
            "Which community will the {last} household relocate to?",
            "Where are Mr and Mrs {last} planning to resettle?",
            "What town becomes home once the {last} clan leaves the current residence?",
        ],
        who: &[
            "Who is moving to {v}?",
            "Which clients bought a house in {v}?",
        ],
    },
];
