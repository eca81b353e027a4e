/**
 * The checklists of `appliance check`, in the order in which they are worked through. A file of its own, because the
 * screens need the names and nothing else of `checks.ts`: loading its schemas would cost them 40 ms when they open.
 */
export const checkGroupNames = ['preflight', 'config', 'smoke', 'load', 'security', 'post-deploy'] as const;
