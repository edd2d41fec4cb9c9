// What every page does: times in the reader's zone, theme without a reload, keys, charts.
import { localTimes } from "./times.js";
import { paper, themes } from "./theme.js";
import { keys } from "./keys.js";
import { explorers } from "./explore.js";
import { questions } from "./questions.js";

localTimes(document);
themes(document);
paper(document);
keys(document);
explorers(document);
questions(document);
