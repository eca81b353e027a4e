/** Whether an alert is about a service: a label says its name, alone or as part of a container's (`shop-blue-backend-1`). Pure. */
export function mentions(labels: Readonly<Record<string, string>>, service: string): boolean {
  const word = new RegExp(`(^|[^A-Za-z0-9])${service.replaceAll(/[^A-Za-z0-9]/g, '\\$&')}([^A-Za-z0-9]|$)`);
  return Object.values(labels).some((value) => word.test(value));
}
