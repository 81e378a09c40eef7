//! Words for children, pets, relatives and what one may not eat.

use super::Wording;
use crate::demo::facts::Kind;

pub(super) const WORDINGS: &[Wording] = &[
    Wording {
        kind: Kind::ChildSport,
        topic: "a child's sport",
        subjects: &[
            "Saturday's game",
            "Busy season here",
            "The fees for the league",
        ],
        asks: &[
            "What does {child} play these days? I always like to hear.",
            "Which sport is {child} doing this season? It helps me plan the calls around practice.",
        ],
        mails: &[
            "{child} plays {v} for {d} now, so our weekends belong to the league.",
            "We may be late on Saturday: {child} has a {v} game with {d} and we never miss one.",
            "You asked about {child}. It's {v} this year, on the team called {d}, three practices a week.",
            "Budget note: {child} made {d}, and the {v} travel team isn't cheap.",
            "Big news at our house, {child} scored twice for {d}. I had no idea {v} could be this loud.",
            "{child} has given up everything else for {v}; the coach of {d} says there is real talent.",
            "Between carpools to {v} practice and washing the uniform of {d} I hardly sit down.",
        ],
        notes: &[
            "{name}: kid {child} plays {v} ({d}). Avoid calls on game days.",
            "Small talk with {first}: {child} is on {d}, {v}, loves it.",
        ],
        plain: &[
            "Which sport does {child}, the kid of {name}, play?",
            "What team sport does {name}'s child {child} have practice for?",
        ],
        oblique: &[
            "Which athletic pastime keeps the {last} youngster occupied after lessons?",
            "What kind of exercise has the boy or girl of Family {last} taken up competitively?",
            "In which discipline does a junior member of the {last} household compete?",
        ],
        who: &[
            "Who mentioned their kid plays {v}?",
            "Which clients have a child on a {v} team?",
        ],
    },
    Wording {
        kind: Kind::ChildArts,
        topic: "a child's lessons",
        subjects: &["Recital", "Lesson fees", "Proud parent"],
        asks: &[
            "Is {child} still taking lessons? Remind me in what.",
            "What is {child} learning outside school at the moment?",
        ],
        mails: &[
            "{child} has started {v} lessons on {d}, which I will be paying for until the end of time.",
            "We can't do {d} any more, that is when {child} has {v}.",
            "The recital was lovely. {child} has come far in {v} with only one lesson a week, on {d}.",
            "You would laugh: {child} practices {v} every evening and not just on {d}, and the neighbors hum along.",
            "We signed {child} up for {v} on {d}; the teacher is strict and wonderful.",
            "{child} won a small prize for {v}. All those {d} in the car were worth it.",
        ],
        notes: &[
            "{name}: {child} takes {v} lessons on {d}.",
            "{first} is proud of {child} ({v}, every week on {d}).",
        ],
        plain: &[
            "What lessons does {child}, the child of {name}, take?",
            "Which lessons did {name} sign {child} up for?",
        ],
        oblique: &[
            "What creative pursuit is the {last} youngster studying with an instructor?",
            "Which artistic talent is being developed by a minor in the {last} household?",
            "On what cultural activity do the {last} parents spend tuition?",
        ],
        who: &[
            "Whose child takes {v} lessons?",
            "Which families told me about a kid doing {v}?",
        ],
    },
    Wording {
        kind: Kind::Pet,
        topic: "a pet",
        subjects: &["New family member", "Vet bill", "Four paws or two wings"],
        asks: &[
            "And who is the new member of the household I heard in the background?",
            "What sort of pet did you end up with?",
        ],
        mails: &[
            "We finally did it and brought home a {v}. The name is {d}, and sleep is over.",
            "Please forgive the noise on the call, that was {d}, our {v}.",
            "The vet bill for {d} was a shock. Nobody tells you what a {v} costs.",
            "Our {v} turned two last week and {d} got a cake of liver and oats.",
            "If you come by the house, mind {d}: a {v} with opinions about visitors.",
            "I never wanted a pet, and now {d} the {v} sits on my desk while I type this.",
        ],
        notes: &[
            "{name} has a {v} called {d}. Ask about it.",
            "Heard {d} on the call, the {v} of {first}.",
        ],
        plain: &[
            "What pet does {name} have at home?",
            "Which pet did {name} bring home?",
        ],
        oblique: &[
            "Which animal lives with the {last} household?",
            "What species and breed of companion creature do the {last} people keep?",
            "Does an animal belong to the {last} clan, and of which breed?",
        ],
        who: &["Who has a {v}?", "Which client told me about their {v}?"],
    },
    Wording {
        kind: Kind::Allergy,
        topic: "an allergy",
        subjects: &["Lunch", "Before you book a table", "Menu"],
        asks: &[
            "I'll book the lunch. Anything that you can't eat?",
            "Any allergy I should tell the restaurant about?",
        ],
        mails: &[
            "One warning for the lunch: I am allergic to {v}, the last time ended in {d}.",
            "Please tell the restaurant no {v} for me. It means {d} otherwise.",
            "The allergy test came back and it is {v}, which explains {d} last fall.",
            "I can eat nearly everything, only {v} is off limits since it gave me {d}.",
            "Could you choose a place that is careful with {v}? I'm allergic and don't want {d} again.",
            "Lovely idea, lunch. A small allergy note, {v}: even traces bring {d}.",
        ],
        notes: &[
            "{name} is allergic to {v} ({d}). Tell the restaurant.",
            "For lunches with {first}: allergy, {v}; the last time {d}.",
        ],
        plain: &[
            "What is {name} allergic to?",
            "Which allergy does {name} have when I book a lunch?",
        ],
        oblique: &[
            "Which ingredient must the kitchen avoid when hosting the {last} couple?",
            "What foodstuff makes a member of Family {last} sick?",
            "Which dietary restriction applies when catering for Mr or Mrs {last}?",
        ],
        who: &["Who is allergic to {v}?", "Which clients can't eat {v}?"],
    },
    Wording {
        kind: Kind::Grandchild,
        topic: "a new grandchild",
        subjects: &["It's official", "Happy news", "Grandparents!"],
        asks: &[
            "Has the baby arrived? What is the name?",
            "Any word from the maternity ward yet? I'd love to know the name.",
        ],
        mails: &[
            "We are grandparents! Little {v} arrived on Tuesday, {d}.",
            "The baby is here, {d}, and is called {v}. We are besotted.",
            "Our first grandchild was born, {v}, {d}. Could we talk about starting something for the little one?",
            "Meet {v}, our new grandchild, {d} and already spoilt.",
            "They named the baby {v}. Born {d}, mother and child are well.",
            "Sorry for my silence, a grandchild came, {d}, and holding {v} is all I do.",
        ],
        notes: &[
            "{name} is a grandparent: baby {v}, born {d}. Send a card.",
            "New grandchild for {first}: {v}, {d}.",
        ],
        plain: &[
            "What is the name of {name}'s new grandchild?",
            "What is the baby called whose grandparent is {name}?",
        ],
        oblique: &[
            "How did the next generation of the {last} line get christened?",
            "Which first name was chosen for the newest infant among the {last} descendants?",
            "What do they call the newborn descendant of Mr or Mrs {last}?",
        ],
        who: &[
            "Who has a grandchild called {v}?",
            "Whose grandchild is {v}?",
        ],
    },
    Wording {
        kind: Kind::ElderCare,
        topic: "care for an aging relative",
        subjects: &["Care for the family", "A hard decision", "Assisted living"],
        asks: &[
            "Where did you decide on, for the assisted living?",
            "Have you found a place that can look after your family member?",
        ],
        mails: &[
            "My {d} is moving into {v}, an assisted living place, and the deposit is due soon.",
            "We toured three places and chose {v} for my {d}.",
            "The monthly bill of {v} is higher than we thought, and my {d} can pay about half.",
            "Since the fall, my {d} needs care day and night. There is a bed at {v}.",
            "It was a hard decision, but my {d} has settled in at {v} and even made a friend.",
            "Could you look at the contract from {v}? It's for my {d}, and there is an entrance fee.",
        ],
        notes: &[
            "{name}: {d} lives in assisted living at {v} now; watch the cash flow.",
            "Care for the {d} of {first}: {v}, deposit paid.",
        ],
        plain: &[
            "Which assisted living place did {name} choose for the {d}?",
            "Where does the {d} of {name} get assisted living care?",
        ],
        oblique: &[
            "In which senior residence did an elderly relative of the {last} household find a room?",
            "What nursing facility houses an aging parent from the {last} side?",
            "Name the retirement home selected by Mr or Mrs {last} on behalf of an older kinsperson.",
        ],
        who: &[
            "Who has a relative in {v}?",
            "Which clients chose {v} for family care?",
        ],
    },
    Wording {
        kind: Kind::Wedding,
        topic: "a wedding",
        subjects: &[
            "Save the date",
            "A wedding in the family",
            "Helping with a wedding",
        ],
        asks: &[
            "Where will the wedding be? I'd like to block the date.",
            "Is the place for the wedding settled?",
        ],
        mails: &[
            "My {d} is getting married in {v} and we promised to help with the cost.",
            "There's a wedding coming: my {d}, in {v}, with two hundred guests.",
            "We will be in {v} for the wedding of my {d}, so please no meetings that week.",
            "The wedding of my {d} has moved from the back garden to {v}, and the budget with it.",
            "Could we set money aside for my {d}? The wedding in {v} is dearer than they thought.",
            "I'm to give a speech at the wedding of my {d}. It's in {v}, and I'm terrified.",
        ],
        notes: &[
            "{name}: {d} marries in {v}; they help with the wedding.",
            "Wedding of the {d} of {first} will be in {v}.",
        ],
        plain: &[
            "Where will the wedding of {name}'s {d} be?",
            "In which place is the {d} of {name} getting married?",
        ],
        oblique: &[
            "At what destination will a {last} relative tie the knot?",
            "Which location hosts the marriage ceremony that the {last} clan attends?",
            "Where do the bridal festivities that Mr or Mrs {last} sponsors happen?",
        ],
        who: &[
            "Who is going to a wedding in {v}?",
            "Which client has a wedding in {v}?",
        ],
    },
    Wording {
        kind: Kind::Divorce,
        topic: "a separation",
        subjects: &["Something personal", "In confidence", "Changes at home"],
        asks: &[
            "I'm so sorry to hear it. Have you found a mediator?",
            "Which mediator are you two working with?",
        ],
        mails: &[
            "This isn't easy to write: we are separating, and {v} is our mediator. So far it took {d}.",
            "We've agreed to divorce quietly. The mediator is {v}, and {d} should be enough.",
            "After {d} with {v}, the mediator, we are close to dividing the accounts.",
            "Please keep this between us. The divorce papers are being drawn up by {v} after {d}.",
            "Could you send the statements to {v}? That is the mediator for our divorce; we've had {d}.",
            "We have been living apart since the summer, and with {v} as mediator it took only {d}.",
        ],
        notes: &[
            "{name} is divorcing; mediator {v}, {d} planned. Confidential.",
            "Separation of {first}: statements go to {v} (mediator, {d}).",
        ],
        plain: &[
            "Who is the mediator in the divorce of {name}?",
            "Which mediator do we send the statements of {name} to?",
        ],
        oblique: &[
            "What neutral party negotiates the breakup of the {last} marriage?",
            "Which go-between helps the {last} spouses end things amicably?",
            "Through whom do the estranged {last} husband and wife settle their split?",
        ],
        who: &[
            "Whose mediator is {v}?",
            "Which clients work with {v} as mediator?",
        ],
    },
];
