/** Analysis of a release: measurements in, three-way verdicts out. Everything but `assess` is pure. */
export { type AssessmentQuestion, assess } from './assess.ts';
