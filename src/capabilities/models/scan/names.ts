import type { GlobalName } from './values.ts';

/**
 * What a pickle may name. An allow-list: of everything that Python can import, only what model libraries write into
 * their own files. Block-lists of other scanners are bypassed again and again (`importlib.import_module`,
 * `pkgutil.resolve_name`, `numpy.core._internal.sys.modules` …), because any function that turns a text into a callable
 * opens all of them (picklescan#66, modelscan#89).
 */

/** How a name may be used. `data`: it may be named, never called. */
export type Role = 'class' | 'container' | 'function' | 'data';

type Listed = readonly [modules: string, role: Role, names: string];

const numpyModules = 'numpy.core.multiarray numpy._core.multiarray';

/** Exact modules. Names with dots (attributes of attributes) are in no list, so none is ever allowed. */
const exact: readonly Listed[] = [
  ['builtins', 'class', 'bytearray complex object slice range'],
  ['builtins', 'container', 'set frozenset list dict tuple'],
  ['builtins', 'data', 'int float str bool bytes'],
  ['collections', 'container', 'OrderedDict defaultdict deque'],
  ['collections', 'class', 'Counter'],
  ['copyreg', 'function', '_reconstructor'],
  ['_codecs', 'function', 'encode'],
  ['datetime', 'class', 'date datetime time timedelta timezone'],
  ['decimal', 'class', 'Decimal'],
  ['fractions', 'class', 'Fraction'],
  ['uuid', 'class', 'UUID'],
  ['numpy', 'class', 'ndarray dtype'],
  ['numpy', 'data', 'bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 str_ object_'],
  ['numpy.matrixlib.defmatrix', 'class', 'matrix'],
  [numpyModules, 'function', '_reconstruct scalar'],
  ['numpy.core.numeric numpy._core.numeric', 'function', '_frombuffer'],
  ['numpy.ma.core', 'function', '_mareconstruct'],
  ['numpy.ma.core', 'class', 'MaskedArray'],
  ['numpy.random._pickle', 'function', '__randomstate_ctor __generator_ctor __bit_generator_ctor'],
  ['numpy.random.mtrand', 'class', 'RandomState'],
  ['numpy.random._generator', 'class', 'Generator'],
  ['numpy.random._mt19937', 'class', 'MT19937'],
  ['numpy.random._pcg64', 'class', 'PCG64 PCG64DXSM'],
  ['numpy.random._philox', 'class', 'Philox'],
  ['numpy.random._sfc64', 'class', 'SFC64'],
  ['numpy.random.bit_generator', 'class', 'SeedSequence'],
  ['joblib.numpy_pickle', 'class', 'NumpyArrayWrapper'],
  [
    'scipy.sparse scipy.sparse._csr scipy.sparse._csc scipy.sparse._coo scipy.sparse._bsr scipy.sparse._dia scipy.sparse._lil scipy.sparse._dok scipy.sparse.csr scipy.sparse.csc scipy.sparse.coo',
    'class',
    'csr_matrix csc_matrix coo_matrix bsr_matrix dia_matrix lil_matrix dok_matrix csr_array csc_array coo_array bsr_array dia_array lil_array dok_array',
  ],
  ['scipy.interpolate._interpolate scipy.interpolate.interpolate', 'class', 'interp1d'],
  ['pandas.core.frame', 'class', 'DataFrame'],
  ['pandas.core.series', 'class', 'Series'],
  ['pandas.core.internals.managers', 'class', 'BlockManager SingleBlockManager'],
  ['pandas._libs.internals', 'function', '_unpickle_block'],
  ['pandas._libs.internals', 'class', 'BlockManager'],
  ['pandas.core.indexes.base', 'function', '_new_Index'],
  ['pandas.core.indexes.base', 'class', 'Index'],
  ['pandas.core.indexes.range', 'class', 'RangeIndex'],
  ['pandas.core.indexes.multi', 'class', 'MultiIndex'],
  ['pandas.core.dtypes.dtypes', 'class', 'CategoricalDtype'],
  ['pandas.core.arrays.categorical', 'class', 'Categorical'],
  ['sklearn.tree._tree', 'class', 'Tree'],
  ['sklearn.neighbors._kd_tree sklearn.neighbors._ball_tree', 'function', 'newObj'],
  [
    'sklearn.neighbors._kd_tree sklearn.neighbors._ball_tree',
    'class',
    'KDTree BallTree KDTree32 KDTree64 BallTree32 BallTree64',
  ],
  ['sklearn.metrics._dist_metrics', 'function', 'newObj'],
  [
    'sklearn.metrics._dist_metrics',
    'class',
    'EuclideanDistance EuclideanDistance32 EuclideanDistance64 ManhattanDistance ManhattanDistance32 ManhattanDistance64 MinkowskiDistance MinkowskiDistance32 MinkowskiDistance64',
  ],
  ['sklearn._loss.loss', 'class', 'HalfBinomialLoss HalfMultinomialLoss HalfSquaredError HalfPoissonLoss'],
  ['sklearn._loss.link', 'class', 'IdentityLink LogLink LogitLink MultinomialLogit HalfLogitLink Interval'],
  ['xgboost.core', 'class', 'Booster'],
  ['xgboost.sklearn', 'class', 'XGBClassifier XGBRegressor XGBRanker XGBRFClassifier XGBRFRegressor'],
  ['lightgbm.basic', 'class', 'Booster'],
  ['lightgbm.sklearn', 'class', 'LGBMClassifier LGBMRegressor LGBMRanker'],
];

/**
 * Estimators of scikit-learn by public package; the class itself stands in a private module below it, which moves from
 * version to version. Names are exact: modules there also import Parallel, Path, GzipFile and the like.
 */
const sklearn: Readonly<Record<string, string>> = {
  calibration: 'CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration',
  cluster: 'KMeans MiniBatchKMeans DBSCAN AgglomerativeClustering Birch MeanShift SpectralClustering',
  compose: 'ColumnTransformer TransformedTargetRegressor',
  covariance: 'EmpiricalCovariance EllipticEnvelope MinCovDet LedoitWolf',
  decomposition: 'PCA IncrementalPCA TruncatedSVD NMF FastICA KernelPCA LatentDirichletAllocation FactorAnalysis',
  discriminant_analysis: 'LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis',
  dummy: 'DummyClassifier DummyRegressor',
  ensemble:
    'RandomForestClassifier RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor GradientBoostingClassifier GradientBoostingRegressor HistGradientBoostingClassifier HistGradientBoostingRegressor AdaBoostClassifier AdaBoostRegressor BaggingClassifier BaggingRegressor IsolationForest StackingClassifier StackingRegressor VotingClassifier VotingRegressor TreePredictor _BinMapper',
  feature_extraction: 'DictVectorizer FeatureHasher CountVectorizer TfidfVectorizer TfidfTransformer HashingVectorizer',
  feature_selection:
    'SelectKBest SelectPercentile SelectFromModel VarianceThreshold RFE RFECV f_classif f_regression chi2',
  gaussian_process: 'GaussianProcessClassifier GaussianProcessRegressor RBF WhiteKernel ConstantKernel Sum Product',
  impute: 'SimpleImputer KNNImputer MissingIndicator IterativeImputer',
  isotonic: 'IsotonicRegression',
  kernel_ridge: 'KernelRidge',
  linear_model:
    'LinearRegression LogisticRegression LogisticRegressionCV Ridge RidgeCV RidgeClassifier Lasso LassoCV ElasticNet ElasticNetCV SGDClassifier SGDRegressor Perceptron PassiveAggressiveClassifier BayesianRidge HuberRegressor PoissonRegressor GammaRegressor TweedieRegressor QuantileRegressor',
  mixture: 'GaussianMixture BayesianGaussianMixture',
  model_selection: 'GridSearchCV RandomizedSearchCV KFold StratifiedKFold TimeSeriesSplit',
  multiclass: 'OneVsRestClassifier OneVsOneClassifier OutputCodeClassifier',
  multioutput: 'MultiOutputClassifier MultiOutputRegressor ClassifierChain RegressorChain',
  naive_bayes: 'GaussianNB MultinomialNB BernoulliNB ComplementNB CategoricalNB',
  neighbors: 'KNeighborsClassifier KNeighborsRegressor NearestNeighbors RadiusNeighborsClassifier LocalOutlierFactor',
  neural_network: 'MLPClassifier MLPRegressor AdamOptimizer SGDOptimizer',
  pipeline: 'Pipeline FeatureUnion',
  preprocessing:
    'StandardScaler MinMaxScaler MaxAbsScaler RobustScaler Normalizer Binarizer OneHotEncoder OrdinalEncoder LabelEncoder LabelBinarizer MultiLabelBinarizer PolynomialFeatures PowerTransformer QuantileTransformer KBinsDiscretizer FunctionTransformer SplineTransformer TargetEncoder',
  svm: 'SVC SVR NuSVC NuSVR LinearSVC LinearSVR OneClassSVM',
  tree: 'DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor',
  utils: 'Bunch',
};

const roles: ReadonlyMap<string, Role> = new Map(
  exact.flatMap(([modules, role, names]) =>
    modules.split(' ').flatMap((module) => names.split(' ').map((name) => [`${module} ${name}`, role] as const)),
  ),
);
const estimators: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries(sklearn).map(([module, names]) => [module, new Set(names.split(' '))]),
);

/** Names that protocols before 3 write for modules of Python 2 (`_compat_pickle`). */
const renamed: Readonly<Record<string, string>> = { __builtin__: 'builtins', copy_reg: 'copyreg' };

/** Classes of the application itself, each as `module.Class`. Never a whole module: its functions would be callable. */
export type OwnClasses = ReadonlySet<string>;

/** What a name is good for; undefined: it may not even be named. */
export function roleOf({ module: written, name }: GlobalName, own: OwnClasses): Role | undefined {
  const module = renamed[written] ?? written;
  if (own.has(`${module}.${name}`)) return 'class';
  const role = roles.get(`${module} ${name}`);
  if (role) return role;
  const [, area, below] = /^sklearn\.([a-z_]+)(\.[\w.]+)?$/.exec(module) ?? [];
  if (area === undefined || estimators.get(area)?.has(name) !== true) return undefined;
  if (below !== undefined && !/^\.(?:_[a-z_]+(?:\.[a-z_]+)?|[a-z_]+)$/.test(below)) return undefined;
  return /^[a-z]/.test(name) ? 'data' : 'class';
}

/** The name under which a rule asks for it. */
export function modernName({ module, name }: GlobalName): string {
  return `${renamed[module] ?? module}.${name}`;
}
